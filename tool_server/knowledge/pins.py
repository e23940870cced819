"""Pinned questions with their answers, in the catalogue; changed by `pins_routes` and the command, read by `pinned`."""

import json
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field

from tool_server.access import Right
from tool_server.database import Database
from tool_server.errors import BadRequest, NotFound
from tool_server.knowledge.rights import INHERITED, read_access
from tool_server.knowledge.schema import bases, pins
from tool_server.knowledge.tokens import distinct, telling

TOKENS = 200  # of a pinned question


class PinText(BaseModel):
    """What is written for a pin; `access` may narrow who gets the answer, beside the base's."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    question: str = Field(min_length=1, max_length=500)
    answer: str = Field(min_length=1, max_length=10_000)
    url: str = Field("", max_length=1000)
    access: tuple[Right, ...] = Field((), max_length=1000)


@dataclass(frozen=True)
class Pin:
    """A pin as it is stored; `tokens` are those of its question that a search compares."""

    id: str
    base: str
    tokens: frozenset[str]
    question: str
    answer: str
    url: str
    access: tuple[str, ...]
    updated_at: float

    def as_json(self) -> dict[str, Any]:
        shown = {name: getattr(self, name) for name in ("id", "base", "question", "answer", "url")}
        return {**shown, "access": [right for right in self.access if right != INHERITED]}


class Pins:
    """The table, and what this process has read of it: a base's pins are read again when they have changed."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._read: dict[str, tuple[int, tuple[Pin, ...]]] = {}

    def of(self, changes: Mapping[str, int]) -> Iterator[Pin]:
        """All pins of these bases, as they are after these numbers of changes."""
        for base, count in changes.items():
            yield from self._of(base, count) if count else ()

    def _of(self, base: str, changes: int) -> tuple[Pin, ...]:
        held = self._read.get(base)
        if held is None or held[0] != changes:
            held = self._read[base] = (changes, tuple(self.page(base)))
        return held[1]

    def page(self, base: str | None, *, offset: int = 0, limit: int | None = None) -> list[Pin]:
        """In the order of their questions, of one base or of all."""
        found = sa.select(pins).order_by(pins.c.base, pins.c.question).offset(offset).limit(limit)
        if base is not None:
            found = found.where(pins.c.base == base)
        return self._database.read(lambda db: [_pin(row) for row in db.execute(found)])

    def put(self, base: str, given: PinText, *, limit: int) -> str:
        """Store a pin, instead of one with the same question; its id. Raises `BadRequest` and `NotFound`."""

        def work(db: sa.Connection) -> str:
            _touch(db, base)
            return _put(db, base, given, limit)

        return self._database.write(work)

    def put_all(self, base: str, several: Sequence[PinText], *, limit: int) -> dict[int, str]:
        """Store many at once; why one was not, by its place in the list. Raises `NotFound`."""

        def work(db: sa.Connection) -> dict[int, str]:
            _touch(db, base)
            failed = {}
            for at, given in enumerate(several):
                try:
                    _put(db, base, given, limit)
                except BadRequest as error:
                    failed[at] = error.message
            return failed

        return self._database.write(work)

    def change(self, name: str, given: PinText) -> None:
        """Raises `BadRequest` where another pin has this question, and `NotFound`."""
        self._database.write(lambda db: _change(db, name, given))

    def remove(self, name: str) -> None:
        """Raises `NotFound`."""

        def work(db: sa.Connection) -> None:
            _touch(db, _base_of(db, name))
            db.execute(sa.delete(pins).where(pins.c.id == name))

        self._database.write(work)


def tokens_of(question: str) -> frozenset[str]:
    """What tells a question from others; all of its tokens where none tells anything."""
    tokens = distinct(question, TOKENS)
    return frozenset(telling(tokens) or tokens)


def _pin(row: sa.Row[Any]) -> Pin:
    values = dict(row._mapping)
    tokens, access = frozenset(values["tokens"].split(" ")), read_access(values["access"])
    return Pin(**{**values, "tokens": tokens, "access": access})


def _put(db: sa.Connection, base: str, given: PinText, limit: int) -> str:
    row = _row(given)
    same = sa.select(pins.c.id).where(pins.c.base == base, pins.c.tokens == row["tokens"])
    name = db.scalar(same)
    if name is not None:
        db.execute(sa.update(pins).where(pins.c.id == name).values(row))
        return str(name)
    counted = sa.select(sa.func.count()).select_from(pins).where(pins.c.base == base)
    if (db.scalar(counted) or 0) >= limit:
        raise BadRequest(f"question: a base may have {limit} pinned answers.", param="question")
    name = str(uuid.uuid4())
    db.execute(sa.insert(pins).values(id=name, base=base, **row))
    return name


def _change(db: sa.Connection, name: str, given: PinText) -> None:
    row, base = _row(given), _base_of(db, name)
    same = sa.select(pins.c.id).where(pins.c.base == base, pins.c.tokens == row["tokens"])
    if db.scalar(same) not in (None, name):
        raise BadRequest("question: another pinned answer has this question.", param="question")
    _touch(db, base)
    db.execute(sa.update(pins).where(pins.c.id == name).values(row))


def _row(given: PinText) -> Mapping[str, Any]:
    tokens = tokens_of(given.question)
    if not tokens:
        raise BadRequest("question: has no word that can be searched for.", param="question")
    return {
        "tokens": " ".join(sorted(tokens)),
        "question": given.question,
        "answer": given.answer,
        "url": given.url,
        "access": json.dumps(given.access or [INHERITED], ensure_ascii=False),
        "updated_at": time.time(),
    }


def _base_of(db: sa.Connection, name: str) -> str:
    base = db.scalar(sa.select(pins.c.base).where(pins.c.id == name))
    if base is None:
        raise NotFound(f"There is no pinned answer {name[:64]!r}.")
    return str(base)


def _touch(db: sa.Connection, base: str) -> None:
    """Count a change of the base's pins: every process then reads them again."""
    changed = sa.update(bases).where(bases.c.name == base).values(pins=bases.c.pins + 1)
    if not db.execute(changed).rowcount:
        raise NotFound(f"There is no knowledge base {base[:64]!r}.", param="base")
