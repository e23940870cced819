"""A nonce belongs to what came with it first: remembered in the transaction that takes a callback, for `ledger`.

The same nonce with the same content is a re-delivery, which is answered again; with another content it is refused.
"""

import hashlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from tool_server.channel.schema import nonces
from tool_server.channel.surface import Callback, Received, Refused
from tool_server.prepared import Prepared

# Old rows go a few at a time, with the callbacks that come: no claim waits long for it.
SWEEP_EVERY_S = 2.0
SWEPT_AT_ONCE = 2000


@dataclass(frozen=True)
class Seen:
    """One verified callback: its nonce (with account and time), a digest of its content, until when it counts."""

    nonce: str
    content: str
    expires_at: float


def seen(account: str, callback: Callback, received: Received, *, window_s: int) -> Seen | None:
    """What is to be remembered; None where the window is switched off.

    The digest is of the opened content: a re-delivery may be encrypted anew.
    """
    if window_s == 0:
        return None
    query = callback.query
    timestamp = query["timestamp"]
    name = "\0".join((account, timestamp, query["nonce"]))
    return Seen(_digest(name), _digest(repr(received)), int(timestamp) + window_s + 1.0)


def row_of(seen: Seen) -> dict[str, Any]:
    """What `INSERT` takes."""
    return {"nonce": seen.nonce, "body": seen.content, "expires_at": seen.expires_at}


class Nonces:
    """The table. Only callbacks with a right signature come here, and each row lives for two windows at most."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._sweep_at = 0.0

    def keep(self, db: sa.Connection, seen: Seen) -> None:
        """Bind the nonce to its content, in the caller's transaction. Raises `Refused` if it is another's."""
        self.tidy(db)
        self.judge(db, seen, INSERT.rows(db, row_of(seen)))

    def tidy(self, db: sa.Connection) -> None:
        """Some old rows go, where it is time for it."""
        if self._is_time():
            self._sweep(db)

    def judge(self, db: sa.Connection, seen: Seen, inserted: Sequence[object]) -> None:
        """Raise `Refused` unless the nonce is new, as a row from `INSERT` tells, or came with the same content."""
        if inserted:
            return
        known = db.scalar(sa.select(nonces.c.body).where(nonces.c.nonce == seen.nonce))
        if known != seen.content:
            raise Refused("a nonce that came with another content")

    def _is_time(self) -> bool:
        now = self._clock()
        with self._lock:
            if now < self._sweep_at:
                return False
            self._sweep_at = now + SWEEP_EVERY_S
            return True

    def _sweep(self, db: sa.Connection) -> None:
        old = sa.select(nonces.c.nonce).where(nonces.c.expires_at < self._clock())
        db.execute(sa.delete(nonces).where(nonces.c.nonce.in_(old.limit(SWEPT_AT_ONCE))))


def _inserting(insert: type[postgresql.Insert] | type[sqlite.Insert]) -> sa.Executable:
    row = insert(nonces).values({name: sa.bindparam(name) for name in nonces.c.keys()})  # noqa: SIM118
    return row.on_conflict_do_nothing(index_elements=["nonce"]).returning(nonces.c.nonce)


INSERT = Prepared(
    {"postgresql": _inserting(postgresql.Insert), "sqlite": _inserting(sqlite.Insert)}
)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
