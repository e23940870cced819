"""How far each service account is read, whether there is more, and who reads it; for `pulls` and `receive`."""

import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from tool_server.channel.schema import cursors
from tool_server.channel.surface import Pull
from tool_server.database import Database


class LostSource(Exception):
    """Another process reads this service account now."""


@dataclass(frozen=True)
class Source:
    """A leased service account: where reading goes on, and until which wish."""

    account: str
    open_kfid: str
    cursor: str
    token: str
    wanted_at: float
    since: float  # what was written before is noted and not answered


def want(db: sa.Connection, account: str, pull: Pull, *, since: float) -> None:
    """There is something to read. `since` counts for a service account that was never read."""
    insert = postgresql.insert if db.dialect.name == "postgresql" else sqlite.insert
    wish = {"wanted_at": time.time()} | ({"token": pull.token} if pull.token else {})
    row = insert(cursors).values(account=account, source=pull.source, since=since, **wish)
    db.execute(row.on_conflict_do_update(index_elements=["account", "source"], set_=wish))


class Cursors:
    """What the reading process does with the table; `owner` names it. Each method is one transaction."""

    def __init__(self, database: Database, owner: str, *, lease_s: float) -> None:
        self._database = database
        self._owner = owner
        self._lease_s = lease_s

    def want(self, account: str, open_kfid: str, *, since: float, read_before: float) -> None:
        """Look whether there is something, without a callback, unless somebody has read after `read_before`."""

        def work(db: sa.Connection) -> None:
            read_at = db.scalar(
                sa.select(cursors.c.read_at).where(
                    cursors.c.account == account, cursors.c.source == open_kfid
                )
            )
            if read_at is None or read_at < read_before:
                want(db, account, Pull(open_kfid, ""), since=since)

        self._database.write(work)

    def waiting(self) -> bool:
        """Whether any source may be free; a cheap question before the write that `lease` is."""
        now = time.time()
        return self._database.read(lambda db: db.scalar(_due(now).limit(1)) is not None)

    def lease(self) -> Source | None:
        """The source that waits longest; only one process reads it at a time."""
        return self._database.write(self._lease)

    def advance(self, db: sa.Connection, source: Source, cursor: str) -> None:
        """The cursor after a page, in the transaction that takes the page. Raises `LostSource`."""
        values = {"cursor": cursor, "lease_until": time.time() + self._lease_s}
        changed = db.execute(
            _mine(self._owner, source).where(cursors.c.cursor == source.cursor).values(**values)
        )
        if not changed.rowcount:
            raise LostSource

    def done(self, source: Source) -> None:
        """All was read that was there when `source` was leased; a newer wish stays."""
        kept = sa.case((cursors.c.wanted_at > source.wanted_at, cursors.c.wanted_at), else_=0.0)
        self._change(
            source, wanted_at=kept, owner="", lease_until=0.0, next_at=0.0, read_at=time.time()
        )

    def later(self, source: Source, *, in_s: float, drop_token: bool = False) -> None:
        """Read on after a pause; a token that the platform refused is forgotten unless a newer one came."""
        token = sa.case((cursors.c.token == source.token, ""), else_=cursors.c.token)
        values: dict[str, Any] = {"token": token} if drop_token else {}
        self._change(source, owner="", lease_until=0.0, next_at=time.time() + in_s, **values)

    def owners(self) -> Collection[str]:
        """Everybody but us who reads something."""
        found = sa.select(cursors.c.owner).where(cursors.c.owner.not_in(("", self._owner)))
        return self._database.read(lambda db: list(db.scalars(found.distinct())))

    def take_from(self, owner: str) -> None:
        """Free what a process read that is dead."""
        freed = sa.update(cursors).where(cursors.c.owner == owner)
        self._database.write(lambda db: db.execute(freed.values(owner="", lease_until=0.0)))

    def _lease(self, db: sa.Connection) -> Source | None:
        now = time.time()
        free = _due(now).order_by(cursors.c.wanted_at).limit(1).with_for_update(skip_locked=True)
        row = db.execute(free).one_or_none()
        if row is None:
            return None
        source = Source(row.account, row.source, row.cursor, row.token, row.wanted_at, row.since)
        of_it = _named(sa.update(cursors), source)
        db.execute(of_it.values(owner=self._owner, lease_until=now + self._lease_s))
        return source

    def _change(self, source: Source, **values: Any) -> None:
        changed = self._database.write(
            lambda db: db.execute(_mine(self._owner, source).values(**values)).rowcount
        )
        if not changed:
            raise LostSource


def _due(now: float) -> sa.Select[Any]:
    return sa.select(cursors).where(
        cursors.c.wanted_at > 0, cursors.c.next_at <= now, cursors.c.lease_until <= now
    )


def _named(change: sa.Update, source: Source) -> sa.Update:
    return change.where(cursors.c.account == source.account, cursors.c.source == source.open_kfid)


def _mine(owner: str, source: Source) -> sa.Update:
    return _named(sa.update(cursors), source).where(cursors.c.owner == owner)
