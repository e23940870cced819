"""Who holds an account's one connection: elected in the ledger's database, with lease and fence; for `connections`.

A dead process of this machine is followed at once (its lock is free), one of another machine when its lease has ended.
After a kick, or a secret that the platform refuses, the account is held: nobody connects until somebody says so.
"""

import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from tool_server.channel.schema import accounts, leaders
from tool_server.database import Database
from tool_server.owner import is_dead

type State = Literal["", "connecting", "up", "away", "kicked", "refused"]

# "Until somebody says so": the year 2100.
FOR_EVER = 4_102_444_800.0


@dataclass(frozen=True)
class Standing:
    """How an account's connection stands; `reason` is a sentence where it is not up."""

    account: str
    state: str
    reason: str
    since: float
    led: bool


class Leaders:
    """The table `leaders`; `owner` names this process, whose lock lies in `locks` with those of the others."""

    def __init__(self, database: Database, owner: str, locks: Path, *, lease_s: float) -> None:
        self._database = database
        self._owner = owner
        self._locks = locks
        self._lease_s = lease_s

    def take(self, account: str) -> int | None:
        """Lead `account`: the fence of this leadership, or None while it is held or another leads."""
        row = self._database.read(
            lambda db: db.execute(
                sa.select(leaders).where(leaders.c.account == account)
            ).one_or_none()
        )
        dead = [row.owner] if row is not None and is_dead(self._locks, row.owner) else []
        others = row is not None and row.owner not in ("", self._owner, *dead)
        if row is not None and others and row.lease_until > time.time():
            return None  # the usual case: no write for it
        return self._database.write(lambda db: self._take(db, account, dead))

    def renew(self, fences: dict[str, int]) -> set[str]:
        """Keep these leaderships; the accounts that are still ours."""

        def work(db: sa.Connection) -> set[str]:
            return {name for name, fence in fences.items() if self._renew(db, name, fence)}

        return self._database.write(work)

    def release(self, account: str, fence: int) -> None:
        """Let the next one lead, at once."""
        self._change(account, fence, owner="", lease_until=0.0)

    def say(self, account: str, fence: int, state: State, reason: str = "") -> None:
        """Note how the connection stands, for people and for checks."""
        self._change(account, fence, state=state, reason=reason[:200], since=time.time())

    def hold(self, account: str, fence: int, state: State, reason: str, *, for_s: float) -> bool:
        """Nobody connects for `for_s` seconds (0: until it is allowed); False if another leads by now."""
        now = time.time()
        return self._change(
            account,
            fence,
            held_until=now + for_s if for_s else FOR_EVER,
            held_at=now,
            state=state,
            reason=reason[:200],
            since=now,
            owner="",
            lease_until=0.0,
        )

    def _take(self, db: sa.Connection, account: str, dead: Collection[str]) -> int | None:
        """One conditional write decides among all who try."""
        now = time.time()
        insert = postgresql.insert if db.dialect.name == "postgresql" else sqlite.insert
        empty = insert(leaders).values(account=account, owner="", lease_until=0.0)
        db.execute(empty.on_conflict_do_nothing(index_elements=["account"]))
        saved = sa.select(accounts.c.updated_at).where(accounts.c.id == account).scalar_subquery()
        free = sa.or_(leaders.c.owner.in_(("", self._owner, *dead)), leaders.c.lease_until <= now)
        allowed = sa.or_(leaders.c.held_until <= now, leaders.c.held_at < saved)
        return db.execute(
            sa.update(leaders)
            .where(leaders.c.account == account, free, allowed)
            .values(
                owner=self._owner,
                lease_until=now + self._lease_s,
                fence=leaders.c.fence + 1,
                held_until=0.0,
                state="connecting",
                reason="",
                since=now,
            )
            .returning(leaders.c.fence)
        ).scalar_one_or_none()

    def _renew(self, db: sa.Connection, account: str, fence: int) -> bool:
        until = time.time() + self._lease_s
        return bool(db.execute(self._ours(account, fence).values(lease_until=until)).rowcount)

    def _change(self, account: str, fence: int, **values: object) -> bool:
        statement = self._ours(account, fence).values(**values)
        return bool(self._database.write(lambda db: db.execute(statement)).rowcount)

    def _ours(self, account: str, fence: int) -> sa.Update:
        return sa.update(leaders).where(
            leaders.c.account == account,
            leaders.c.fence == fence,
            leaders.c.owner == self._owner,
        )


def allow(database: Database, account: str) -> None:
    """Let somebody connect again after a kick."""
    database.write(
        lambda db: db.execute(
            sa.update(leaders).where(leaders.c.account == account).values(held_until=0.0)
        )
    )


def standings(database: Database, names: Collection[str]) -> list[Standing]:
    """How the connections of these accounts stand; one that nobody has led yet is not among them."""
    found = sa.select(leaders).where(leaders.c.account.in_(names)).order_by(leaders.c.account)
    rows = database.read(lambda db: db.execute(found).all())
    now = time.time()
    return [
        Standing(row.account, row.state, row.reason, row.since, row.lease_until > now)
        for row in rows
    ]
