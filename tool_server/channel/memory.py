"""Which conversation of Dify's a person's next question goes on in, and when it begins a new one; for `ask` and `work`.

A conversation ends after a time of silence, after so many questions, and with /new. It also ends when the rights of its
person have changed (`work.Work.fill_ticket`): what an app once read to somebody must not come back by memory.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa

from tool_server.channel.schema import conversations
from tool_server.database import Database


@dataclass(frozen=True)
class Memory:
    """Reads and forgets; what is kept is written by `keep`, in the transaction of the answer.

    `turns` bounds the questions of one conversation; 0 is no bound.
    """

    database: Database
    idle_s: float
    turns: int
    clock: Callable[[], float] = time.time

    def conversation(self, key: str) -> str:
        """Dify's conversation to go on with, "" to begin one."""
        row = self.database.read(
            lambda db: db.execute(
                sa.select(conversations).where(conversations.c.key == key)
            ).one_or_none()
        )
        if row is None or self.clock() - row.last_at > self.idle_s:
            return ""
        return "" if 0 < self.turns <= row.turns else str(row.dify_id)

    def forget(self, key: str) -> None:
        """The next question begins a new conversation."""
        self.database.write(lambda db: begin_anew(db, key))


def keep(db: sa.Connection, key: str, dify: str, now: float) -> None:
    """A question of this conversation was answered in Dify's conversation `dify`."""
    before = db.execute(sa.select(conversations).where(conversations.c.key == key)).one_or_none()
    turns = before.turns + 1 if before is not None and before.dify_id == dify else 1
    values = {"dify_id": dify, "last_at": now, "turns": turns}
    if before is None:
        db.execute(sa.insert(conversations).values(key=key, **values))
    else:
        db.execute(sa.update(conversations).where(conversations.c.key == key).values(**values))


def keep_rights(db: sa.Connection, key: str, rights: str) -> bool:
    """Under which rights the next question is asked (a digest). True where they have changed: a conversation ended."""
    before = db.scalar(sa.select(conversations.c.rights).where(conversations.c.key == key))
    if before is None:
        db.execute(sa.insert(conversations).values(key=key, rights=rights, last_at=0.0))
    elif before != rights:
        begin_anew(db, key)
        db.execute(sa.update(conversations).where(conversations.c.key == key).values(rights=rights))
    return before is not None and before != rights


def begin_anew(db: sa.Connection, key: str) -> None:
    """The row stays: its rights are those of the tickets that were given last."""
    anew = sa.update(conversations).where(conversations.c.key == key)
    db.execute(anew.values(dify_id="", turns=0))
