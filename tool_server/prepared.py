"""Statements that are compiled once and run with little around them; for what happens with every message.

Building and compiling a statement, and wrapping its result, cost SQLAlchemy several times what SQLite needs to run it.
"""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa


@dataclass(frozen=True)
class Compiled:
    """A statement as a dialect's driver takes it: its text, the names in it, values that stand in it already."""

    text: str
    names: tuple[str, ...]
    fixed: Mapping[str, Any]


class Prepared:
    """One statement; `values` are by the names of its parameters, numbers, texts and bytes as they are.

    What it is made of must not depend on the call. Types that SQLAlchemy would convert (JSON, dates) are not converted.
    """

    def __init__(self, statement: sa.Executable | Mapping[str, sa.Executable]) -> None:
        """`statement`, or one for each dialect."""
        self._statement = statement
        self._compiled: dict[str, Compiled] = {}

    def row(self, db: sa.Connection, values: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """The first row, None where there is none."""
        rows = self.rows(db, values)
        return rows[0] if rows else None

    def rows(self, db: sa.Connection, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """All rows; none for a statement that gives none."""
        compiled = self.compiled(db)
        driver = db.connection.driver_connection
        if isinstance(driver, sqlite3.Connection):
            fixed = compiled.fixed
            given = [values[name] if name in values else fixed[name] for name in compiled.names]
            return driver.execute(compiled.text, given).fetchall()
        result = db.exec_driver_sql(compiled.text, {**compiled.fixed, **values})
        return [tuple(row) for row in result] if result.returns_rows else []

    def compiled(self, db: sa.Connection) -> Compiled:
        """As this connection's driver takes it."""
        return self._compiled.get(db.dialect.name) or self._compile(db)

    def _compile(self, db: sa.Connection) -> Compiled:
        """Two threads that do this at once make the same."""
        name, statement = db.dialect.name, self._statement
        made = statement[name] if isinstance(statement, Mapping) else statement
        compiled = made.compile(dialect=db.dialect)  # type: ignore[attr-defined]  # every statement has it
        positions = tuple(compiled.positiontup or ())
        self._compiled[name] = Compiled(str(compiled), positions, dict(compiled.params))
        return self._compiled[name]


def together(db: sa.Connection, *calls: tuple[Prepared, Mapping[str, Any]]) -> list[list[Any]]:
    """The rows of several statements, one after the other; to PostgreSQL they are one journey.

    Its driver's errors come as they are, see `database`.
    """
    driver: Any = db.connection.driver_connection
    if isinstance(driver, sqlite3.Connection):
        return [statement.rows(db, values) for statement, values in calls]
    with driver.pipeline():
        cursors = [_send(db, driver, statement, values) for statement, values in calls]
    return [cursor.fetchall() if cursor.description else [] for cursor in cursors]


def _send(db: sa.Connection, driver: Any, statement: Prepared, values: Mapping[str, Any]) -> Any:
    compiled = statement.compiled(db)
    return driver.execute(compiled.text, {**compiled.fixed, **values})
