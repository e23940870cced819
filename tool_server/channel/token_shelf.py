"""Where access tokens lie: the table `platform_tokens` for all processes, or memory for one check; for `tokens`."""

import os
import secrets
import socket
import threading
import time
from dataclasses import dataclass, replace
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from tool_server.channel.schema import platform_tokens as table
from tool_server.channel.vault import Vault, VaultError
from tool_server.database import Database

# Doublings of a pause that are counted; more would only overflow.
MOST_SHUTS = 20


@dataclass(frozen=True, repr=False)
class Held:
    """What is known under one name. Times are seconds since the epoch; `mark` changes with each token."""

    value: str = ""
    mark: str = ""
    renew_at: float = 0.0
    expires_at: float = 0.0
    lease_until: float = 0.0
    shut_until: float = 0.0
    shut_code: int = 0
    shuts: int = 0


NOTHING = Held()


class Shelf(Protocol):
    """Each method is one atomic step."""

    def read(self, name: str) -> Held: ...

    def claim(self, name: str, now: float, until: float) -> bool:
        """Become the one who fetches; False where somebody else is it."""

    def release(self, name: str) -> None: ...

    def store(self, name: str, value: str, renew_at: float, expires_at: float) -> Held:
        """Put a token there and end the lease; what is shut stays shut."""

    def drop(self, name: str, mark: str) -> None:
        """Forget the token with this mark; a newer one stays."""

    def shut(self, name: str, code: int, *, now: float, first_s: float, longest_s: float) -> float:
        """Shut for `first_s`, doubled for each time in a row; until when. One that is shut already stays as it is."""

    def open(self, name: str) -> None: ...


class MemoryShelf:
    """For one process without a ledger: a check of an account that is not saved yet, a test."""

    def __init__(self) -> None:
        self._held: dict[str, Held] = {}
        self._lock = threading.Lock()

    def read(self, name: str) -> Held:
        return self._held.get(name, NOTHING)

    def claim(self, name: str, now: float, until: float) -> bool:
        with self._lock:
            if self.read(name).lease_until > now:
                return False
            self._change(name, lease_until=until)
            return True

    def release(self, name: str) -> None:
        with self._lock:
            self._change(name, lease_until=0.0)

    def store(self, name: str, value: str, renew_at: float, expires_at: float) -> Held:
        values = {"renew_at": renew_at, "expires_at": expires_at, "lease_until": 0.0}
        with self._lock:
            return self._change(name, value=value, mark=secrets.token_hex(8), **values)

    def drop(self, name: str, mark: str) -> None:
        with self._lock:
            if self.read(name).mark == mark:
                self._change(name, value="", mark="")

    def shut(self, name: str, code: int, *, now: float, first_s: float, longest_s: float) -> float:
        with self._lock:
            before = self.read(name)
            if before.shut_until > now:
                return before.shut_until
            until = now + _pause(before.shuts, first_s, longest_s)
            self._change(name, shut_until=until, shut_code=code, shuts=before.shuts + 1)
            return until

    def open(self, name: str) -> None:
        with self._lock:
            self._change(name, shuts=0, shut_until=0.0)

    def _change(self, name: str, **values: Any) -> Held:
        self._held[name] = replace(self.read(name), **values)
        return self._held[name]


class LedgerShelf:
    """The table, sealed by the vault: what one process fetched or met, all of them know."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault
        self._owner = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._opened: dict[
            str, tuple[str, str]
        ] = {}  # by name: what lay sealed there, and its text

    def read(self, name: str) -> Held:
        row = self._database.read(
            lambda db: db.execute(sa.select(table).where(table.c.name == name)).one_or_none()
        )
        if row is None:
            return NOTHING
        return Held(
            self._unseal(name, row.sealed),
            row.sealed,
            row.renew_at,
            row.expires_at,
            row.lease_until,
            row.shut_until,
            row.shut_code,
            row.shuts,
        )

    def claim(self, name: str, now: float, until: float) -> bool:
        def work(db: sa.Connection) -> bool:
            _make_row(db, name)
            free = (table.c.name == name, table.c.lease_until <= now)
            changed = sa.update(table).where(*free).values(owner=self._owner, lease_until=until)
            return bool(db.execute(changed).rowcount)

        return self._database.write(work)

    def release(self, name: str) -> None:
        self._change(name, table.c.owner == self._owner, owner="", lease_until=0.0)

    def store(self, name: str, value: str, renew_at: float, expires_at: float) -> Held:
        """A lease that ended meanwhile does no harm: inside its life the platform gives the same token to all."""
        sealed = self._vault.seal(value)
        self._opened[name] = (sealed, value)
        self._change(
            name,
            sealed=sealed,
            renew_at=renew_at,
            expires_at=expires_at,
            fetched_at=time.time(),
            owner="",
            lease_until=0.0,
        )
        return self.read(name)

    def drop(self, name: str, mark: str) -> None:
        self._change(name, table.c.sealed == mark, sealed="", renew_at=0.0, expires_at=0.0)

    def shut(self, name: str, code: int, *, now: float, first_s: float, longest_s: float) -> float:
        def work(db: sa.Connection) -> float:
            _make_row(db, name)
            found = sa.select(table.c.shut_until, table.c.shuts).where(table.c.name == name)
            before = db.execute(found.with_for_update()).one()
            if before.shut_until > now:
                return float(before.shut_until)
            until = now + _pause(int(before.shuts), first_s, longest_s)
            values = {"shut_until": until, "shut_code": code, "shuts": before.shuts + 1}
            db.execute(sa.update(table).where(table.c.name == name).values(**values))
            return until

        return self._database.write(work)

    def open(self, name: str) -> None:
        self._change(name, shuts=0, shut_until=0.0)

    def _change(self, name: str, *where: sa.ColumnElement[bool], **values: Any) -> None:
        changed = sa.update(table).where(table.c.name == name, *where).values(**values)
        self._database.write(lambda db: db.execute(changed))

    def _unseal(self, name: str, sealed: str) -> str:
        """The token; what another key sealed is as good as none."""
        if not sealed:
            return ""
        known = self._opened.get(name)
        if known is None or known[0] != sealed:
            try:
                known = (sealed, self._vault.unseal(sealed))
            except VaultError:
                return ""
            self._opened[name] = known
        return known[1]


def _make_row(db: sa.Connection, name: str) -> None:
    insert = postgresql.insert if db.dialect.name == "postgresql" else sqlite.insert
    db.execute(insert(table).values(name=name).on_conflict_do_nothing(index_elements=["name"]))


def _pause(shuts: int, first_s: float, longest_s: float) -> float:
    return min(longest_s, first_s * 2.0 ** min(shuts, MOST_SHUTS))
