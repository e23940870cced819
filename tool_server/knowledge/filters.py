"""Conditions on a document's metadata, as Dify writes them (`metadata_condition`): one tree for every index.

Parsed once at the rim by `parse`; the embedded index resolves it in the catalogue, Elasticsearch in its own query.
"""

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, get_args

type Operator = Literal[
    "contains", "not contains", "start with", "end with", "is", "is not", "empty", "not empty", "in", "not in",
    "=", "≠", ">", "<", "≥", "≤", "before", "after",
]  # fmt: skip
OPERATORS: tuple[str, ...] = get_args(Operator.__value__)


@dataclass(frozen=True)
class Condition:
    """One comparison; `value` is None for "empty" and "not empty", a tuple for "in" and "not in"."""

    name: str
    operator: Operator
    value: str | float | tuple[str | float, ...] | None = None


@dataclass(frozen=True)
class Filter:
    """All of the conditions ("and") or any of them ("or"); at least one."""

    conditions: tuple[Condition, ...]
    logical: Literal["and", "or"] = "and"


def number(value: object) -> float | None:
    """A metadata value as a number, where it is one: "5" and 5 compare alike."""
    try:
        found = float(str(value))
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def moment(value: object) -> float | None:
    """A metadata value as seconds since 1970, where it is a time in RFC 3339 or a date; without a zone it is UTC."""
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
