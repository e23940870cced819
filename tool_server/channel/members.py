"""Which workers there are to lead accounts, and how many each should lead: an even share; for `bot_socket.tender`."""

import time
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from tool_server.channel.schema import members
from tool_server.database import Database
from tool_server.owner import is_dead


class Members:
    """The table `members`; `owner` names this process, whose lock lies in `locks` with those of the others.

    A dead process of this machine counts no more at once, one of another machine when its lease has ended.
    """

    def __init__(self, database: Database, owner: str, locks: Path, *, lease_s: float) -> None:
        self._database = database
        self._owner = owner
        self._locks = locks
        self._lease_s = lease_s

    def stay(self) -> None:
        """We are here, for a lease's time; those whose time is over are forgotten."""
        self._database.write(self._stay)

    def leave(self) -> None:
        """We lead nothing any more."""
        gone = sa.delete(members).where(members.c.owner == self._owner)
        self._database.write(lambda db: db.execute(gone))

    def share(self, accounts: int) -> int:
        """How many of so many accounts are ours to lead, at most."""
        found = sa.select(members.c.owner).where(
            members.c.lease_until > time.time(), members.c.owner != self._owner
        )
        others = self._database.read(lambda db: db.scalars(found).all())
        alive = 1 + sum(not is_dead(self._locks, owner) for owner in others)
        return -(-accounts // alive)

    def _stay(self, db: sa.Connection) -> None:
        now = time.time()
        insert = postgresql.insert if db.dialect.name == "postgresql" else sqlite.insert
        until = {"lease_until": now + self._lease_s}
        mine = insert(members).values(owner=self._owner, **until)
        db.execute(mine.on_conflict_do_update(index_elements=["owner"], set_=until))
        db.execute(sa.delete(members).where(members.c.lease_until < now))
