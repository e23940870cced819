"""Conditions on a document's metadata, as Dify writes them (`metadata_condition`): one tree for every index.

Parsed once at the rim by `parse`. `matches` is what they mean; the embedded index resolves them in the catalogue,
Elasticsearch in its own query, and both agree with it.

A document has one value for a key, or none. A condition that names several keys looks at all their values.

| operator | holds where one of the values … |
|---|---|
| is, =, in | is the value, or one of the list: as numbers where both are numbers, else letter by letter |
| contains, start with, end with | does so after `fold`: width, case and blanks around it do not count |
| >, <, ≥, ≤ | is so as a number where both are numbers, else as a time where both are times, else never |
| before, after | is so as a time; the condition's value may also be seconds since 1970, as Dify's calendar gives it |
| not empty | is more than blanks |

"is not", "≠", "not in", "not contains" and "empty" hold exactly where their opposite does not: so also where the
document has none of the keys.
"""

import operator as compare
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from tool_server.errors import BadRequest
from tool_server.knowledge.document import Value
from tool_server.knowledge.values import (
    NAME_CHARACTERS,
    Stored,
    fold,
    is_text,
    moment,
    number,
    stored,
    text_of,
)

type Operator = Literal[
    "contains", "not contains", "start with", "end with", "is", "is not", "empty", "not empty", "in", "not in",
    "=", "≠", ">", "<", "≥", "≤", "before", "after",
]  # fmt: skip
OPERATORS: tuple[Operator, ...] = get_args(Operator.__value__)
# How programs write what Dify's screens show.
SPELLINGS = {"==": "=", "!=": "≠", ">=": "≥", "<=": "≤"}
# Each with the one that it is the opposite of.
OPPOSITES: Mapping[Operator, Operator] = {
    "not contains": "contains", "is not": "is", "≠": "=", "not in": "in", "empty": "not empty"
}  # fmt: skip
ORDERS: Mapping[Operator, Callable[[Any, float], Any]] = {  # of numbers, and of SQL's columns
    ">": compare.gt, "<": compare.lt, "≥": compare.ge, "≤": compare.le,
    "before": compare.lt, "after": compare.gt,
}  # fmt: skip
TEXTS: Mapping[Operator, Callable[[str, str], bool]] = {
    "contains": compare.contains, "start with": str.startswith, "end with": str.endswith
}  # fmt: skip

CONDITIONS = 50
NAMES = 20
LISTED = 1000  # values of one "in"
VALUE_CHARACTERS = 2000


@dataclass(frozen=True)
class Condition:
    """One comparison. `value` is None for "empty" and "not empty", a tuple for "in" and "not in", seconds since 1970
    for "before" and "after"; `names` are the keys that it looks at, at least one."""

    names: tuple[str, ...]
    operator: Operator
    value: Value | tuple[Value, ...] | None = None

    @property
    def positive(self) -> "Condition":
        """This condition, or the one that it is the opposite of: where `opposite` is true."""
        return Condition(self.names, OPPOSITES.get(self.operator, self.operator), self.value)

    @property
    def opposite(self) -> bool:
        return self.operator in OPPOSITES

    @property
    def listed(self) -> tuple[Value, ...]:
        """What "is", "=" and "in" compare with."""
        if isinstance(self.value, tuple):
            return self.value
        return () if self.value is None else (self.value,)


@dataclass(frozen=True)
class Filter:
    """All of the conditions ("and") or any of them ("or"); at least one."""

    conditions: tuple[Condition, ...]
    logical: Literal["and", "or"] = "and"


def matches(conditions: Filter, metadata: Mapping[str, Value]) -> bool:
    """Whether a document with this metadata is meant."""
    values = stored(metadata)
    every = all if conditions.logical == "and" else any
    return every(
        any(_holds(one.positive, values[name]) for name in one.names if name in values)
        != one.opposite
        for one in conditions.conditions
    )


def _holds(condition: Condition, value: Stored) -> bool:
    """For an operator that is no opposite."""
    given, operator = condition.value, condition.operator
    if operator == "not empty":
        return value.folded != ""
    if operator in ("is", "=", "in"):
        return any(_equal(value, one) for one in condition.listed)
    if isinstance(given, tuple) or given is None:
        return False
    if operator in TEXTS:
        return TEXTS[operator](value.folded, fold(given))
    order = ORDERS[operator]
    if operator in ("before", "after"):
        return value.time is not None and bool(order(value.time, float(given)))
    return _ordered(order, value, given)


def _equal(value: Stored, given: Value) -> bool:
    wanted = number(given)
    if value.number is None or wanted is None:
        return value.text == text_of(given)
    return value.number == wanted


def _ordered(order: Callable[[float, float], bool], value: Stored, given: Value) -> bool:
    if value.number is not None and (wanted := number(given)) is not None:
        return order(value.number, wanted)
    at = moment(given)
    return value.time is not None and at is not None and order(value.time, at)


def parse(
    given: object, *, place: str = "metadata_condition", limit: int = CONDITIONS
) -> Filter | None:
    """A filter from Dify's shape; None where there are no conditions. Raises `BadRequest` naming the place."""
    if given is None:
        return None
    if not isinstance(given, dict):
        raise refusal(place, "must be an object")
    for field in given:
        if field not in ("logical_operator", "conditions"):
            raise refusal(place, f"has no field {str(field)[:64]!r}")
    logical = given.get("logical_operator") or "and"
    if logical not in ("and", "or"):
        raise refusal(f"{place}.logical_operator", "must be 'and' or 'or'")
    listed = given.get("conditions") or []
    if not isinstance(listed, list):
        raise refusal(f"{place}.conditions", "must be a list")
    if len(listed) > limit:
        raise refusal(f"{place}.conditions", f"at most {limit} are possible")
    conditions = [_condition(one, f"{place}.conditions.{at}") for at, one in enumerate(listed)]
    if not conditions:
        return None
    return Filter(tuple(conditions), "or" if logical == "or" else "and")


def refusal(place: str, why: str) -> BadRequest:
    return BadRequest(f"{place}: {why}.", param=place)


def _condition(given: object, place: str) -> Condition:
    if not isinstance(given, dict):
        raise refusal(place, "must be an object")
    for field in given:
        if field not in ("name", "comparison_operator", "value"):
            raise refusal(place, f"has no field {str(field)[:64]!r}")
    operator = _operator(given.get("comparison_operator"), f"{place}.comparison_operator")
    names = _names(given.get("name"), f"{place}.name")
    return Condition(names, operator, _value(operator, given.get("value"), f"{place}.value"))


def _operator(given: object, place: str) -> Operator:
    for operator in OPERATORS:
        if operator == given or (isinstance(given, str) and operator == SPELLINGS.get(given)):
            return operator
    raise refusal(place, f"must be one of {', '.join(OPERATORS)}")


def _names(given: object, place: str) -> tuple[str, ...]:
    names = given if isinstance(given, list) else [given]
    if not 1 <= len(names) <= NAMES:
        raise refusal(place, f"from 1 to {NAMES} names")
    for name in names:
        if not isinstance(name, str) or not 1 <= len(name) <= NAME_CHARACTERS:
            raise refusal(place, f"must be a text of 1 to {NAME_CHARACTERS} characters, or several")
        _check_unicode(name, place)
    return tuple(names)


def _value(operator: Operator, given: object, place: str) -> Value | tuple[Value, ...] | None:
    """As the operator needs it: a time as seconds, a list as a tuple; "a, b" is a list too."""
    if operator in ("empty", "not empty"):
        return None
    if operator in ("in", "not in"):
        if isinstance(given, str):
            given = [part.strip() for part in given.split(",") if part.strip()]
        if not isinstance(given, list) or len(given) > LISTED:
            raise refusal(place, f"must be a list of at most {LISTED} values")
        return tuple(_single(one, f"{place}.{at}") for at, one in enumerate(given))
    value = _single(given, place)
    if operator not in ("before", "after"):
        return value
    seconds = moment(value)
    seconds = number(value) if seconds is None else seconds
    if seconds is None:
        raise refusal(place, "must be a time as in 2026-11-27T08:00:00Z, or a date")
    return seconds


def _single(given: object, place: str) -> Value:
    if isinstance(given, str) and len(given) <= VALUE_CHARACTERS:
        _check_unicode(given, place)
        return given
    if isinstance(given, int | float) and not isinstance(given, bool) and number(given) is not None:
        return given
    raise refusal(place, f"must be a text of at most {VALUE_CHARACTERS} characters, or a number")


def _check_unicode(text: str, place: str) -> None:
    if not is_text(text):
        raise refusal(place, "holds half of a surrogate pair")
