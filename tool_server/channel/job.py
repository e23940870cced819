"""A leased message and its parts as a worker holds them, and the write that only its holder may make; for `work`."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from tool_server.channel.schema import messages
from tool_server.channel.surface import Address


class LostLease(Exception):
    """Another worker has taken this message over: whatever we were about to do is no longer ours."""


@dataclass(frozen=True)
class Job:
    """A leased message; every write of its worker names the fence."""

    id: int
    fence: int
    account: str
    user: str
    chat: str
    conversation: str
    kind: str
    event: str
    question: str
    data: str
    media: str
    quote: str
    handle: str
    sent_at: float
    busy: int
    stopped_at: float | None
    state: str
    attempts: int
    takeovers: int  # workers in a row that died while they held it
    ticket: str
    dify_task: str
    dify_message: str
    dify_conversation: str
    dify_run: str
    answer: str
    stream: str  # what people see of the answer already
    received_at: float

    @property
    def address(self) -> Address:
        return Address(self.user, self.chat, self.handle)


@dataclass(frozen=True)
class Stopped:
    """A message whose person wants no answer any more; `task` is Dify's, where a run has begun."""

    id: int
    task: str


@dataclass(frozen=True)
class Unfetched:
    """An answer that waited for a connection and that none fetched."""

    id: int
    account: str
    address: Address
    answer: str


@dataclass(frozen=True)
class Piece:
    """One part of an answer on its way."""

    id: int
    ordinal: int
    body: str
    attempts: int


def update(db: sa.Connection, job: Job, **values: Any) -> None:
    """Change the message's row if it is still ours."""
    changed = db.execute(
        sa.update(messages)
        .where(messages.c.id == job.id, messages.c.fence == job.fence)
        .values(**values)
    ).rowcount
    if not changed:
        raise LostLease
