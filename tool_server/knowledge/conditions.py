"""Metadata conditions as SQL over the catalogue's `document_values`; the same meaning as `filters.matches`."""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from tool_server.knowledge.filters import ORDERS, Condition, Filter, Operator
from tool_server.knowledge.schema import document_values, documents
from tool_server.knowledge.values import fold, moment, number, text_of

type Test = sa.ColumnElement[bool]


def documents_of(conditions: Filter, *, opposite: bool = False) -> sa.Select[tuple[str]]:
    """The ids of the documents that the filter means, or of all others; of every base."""
    test = _all(conditions, _within)
    return sa.select(documents.c.id).where(sa.not_(test) if opposite else test)


def meant(conditions: Filter) -> Test:
    """The same as a test of one document; for a few of them it is faster than finding all."""
    return _all(conditions, _exists)


def _all(conditions: Filter, one: Callable[[Test, tuple[str, ...]], Test]) -> Test:
    tests = []
    for condition in conditions.conditions:
        holds = one(_test(condition.positive), condition.names)
        tests.append(sa.not_(holds) if condition.opposite else holds)
    return sa.and_(*tests) if conditions.logical == "and" else sa.or_(*tests)


def _within(test: Test, names: tuple[str, ...]) -> Test:
    holding = sa.select(document_values.c.document_id)
    return documents.c.id.in_(holding.where(document_values.c.name.in_(names), test))


def _exists(test: Test, names: tuple[str, ...]) -> Test:
    same = document_values.c.document_id == documents.c.id
    return sa.exists().where(same, document_values.c.name.in_(names), test)


def _test(condition: Condition) -> Test:
    """Of one stored value, for an operator that is no opposite."""
    given, operator = condition.value, condition.operator
    if operator == "not empty":
        return document_values.c.folded != ""
    if operator in ("is", "=", "in"):
        return _equal(condition)
    if isinstance(given, tuple) or given is None:
        return sa.false()
    if operator in ("before", "after"):
        return _compare(operator, document_values.c.time, float(given))
    if operator in ORDERS:
        return _ordered(condition, given)
    return _text(condition, fold(given))


def _equal(condition: Condition) -> Test:
    """A value that is no number equals none: as numbers those that are, letter by letter the others."""
    numbers = [at for one in condition.listed if (at := number(one)) is not None]
    texts = [text_of(one) for one in condition.listed if number(one) is None]
    if not texts:  # with one test only SQLite looks into its index
        return document_values.c.number.in_(numbers)
    if not numbers:
        return document_values.c.text.in_(texts)
    return sa.or_(document_values.c.number.in_(numbers), document_values.c.text.in_(texts))


def _ordered(condition: Condition, given: str | float) -> Test:
    """As numbers where both are numbers, else as times."""
    wanted, at = number(given), moment(given)
    tests = []
    if wanted is not None:
        tests.append(_compare(condition.operator, document_values.c.number, wanted))
    if at is not None:
        as_time = _compare(condition.operator, document_values.c.time, at)
        other = document_values.c.number.is_(None)
        tests.append(as_time if wanted is None else sa.and_(other, as_time))
    return sa.or_(*tests) if tests else sa.false()


def _compare(operator: Operator, column: sa.Column[Any], given: float) -> Test:
    test: Test = ORDERS[operator](column, given)
    return test


def _text(condition: Condition, folded: str) -> Test:
    """By SQLite's own functions, where no character is a pattern."""
    text = document_values.c.folded
    if not folded:
        return sa.true()
    if condition.operator == "contains":
        return sa.func.instr(text, folded) > 0
    if condition.operator == "start with":
        return sa.func.substr(text, 1, len(folded)) == folded
    return sa.func.substr(text, -len(folded)) == folded
