"""How many messages may wait, and what becomes of one more: place in the queue, told busy, or refused; for `ledger`."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from tool_server.channel.schema import messages
from tool_server.errors import Unavailable
from tool_server.prepared import Prepared
from tool_server.settings import Settings

# A person's next message is served as if it had come this long after the one before: everybody moves on in turn.
STEP_S = 1.0
QUEUED = sa.and_(messages.c.waits_for == "worker", messages.c.busy == 0)


@dataclass(frozen=True)
class QueueLimits:
    """Bounds of the queue: of all, of one person, of those who wait to be told; seconds between two such sentences."""

    queue: int
    person: int
    busy: int
    pause_s: float

    @classmethod
    def of(cls, settings: Settings) -> "QueueLimits":
        return cls(
            settings.channel_queue_limit,
            settings.channel_user_queue_limit,
            settings.channel_busy_limit,
            settings.channel_busy_pause_s,
        )


@dataclass(frozen=True)
class Place:
    """A new message's place: its turn; with `busy` its number in a full queue, and whether its person is told now."""

    turn: float
    busy: int = 0
    tell: bool = True


def find_place(
    db: sa.Connection, limits: QueueLimits, values: Mapping[str, Any], counted: Sequence[Any]
) -> Place | None:
    """Where a message that comes now, with these values of its row, stands; None where it is here already.

    `counted` is the row of `COUNTED`. Raises `Unavailable` when not even a sentence can be promised.
    """
    now = time.time()
    known, queued, own, untold, last = counted
    if known:
        return None
    if untold >= limits.busy and queued >= limits.queue:
        raise Unavailable("The queue is full.", retry_after=5)
    if values["urgent"]:
        return Place(0.0)
    if queued < limits.queue and own < limits.person:
        return Place(max(now, (last or 0.0) + STEP_S))
    busy = (own if queued < limits.queue else queued) + 1
    if _was_told(db, values["account"], values["user"], now - limits.pause_s):
        return Place(now, busy, tell=False)  # served by nobody; its turn says that it was not told
    return Place(0.0, busy)


def queue_length(db: sa.Connection) -> int:
    """Messages that wait for a worker, but for those that are only told that we are busy."""
    return db.scalar(sa.select(_count(QUEUED))) or 0


def _count(*conditions: sa.ColumnElement[bool]) -> sa.ScalarSelect[int]:
    return sa.select(sa.func.count()).select_from(messages).where(*conditions).scalar_subquery()


_OWN = sa.and_(QUEUED, messages.c.conversation == sa.bindparam("name"))
COUNTS = sa.select(
    _count(messages.c.dedupe_key == sa.bindparam("key")),
    _count(QUEUED),
    _count(_OWN),
    _count(messages.c.waits_for == "worker", messages.c.busy > 0),
    sa.select(sa.func.max(messages.c.turn)).where(_OWN).scalar_subquery(),
)
COUNTED = Prepared(COUNTS)


def _was_told(db: sa.Connection, account: str, user: str, since: float) -> bool:
    """Whether this person has had the sentence lately, or is about to get it."""
    found = sa.select(messages.c.id).where(
        messages.c.account == account,
        messages.c.user == user,
        messages.c.received_at > since,
        messages.c.busy > 0,
        messages.c.turn == 0.0,
    )
    return db.scalar(found.limit(1)) is not None
