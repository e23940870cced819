"""A nonce belongs to what came with it first: remembered in the transaction that takes a callback, for `ledger`.

The same nonce with the same content is a re-delivery, which is answered again; with another content it is refused.
"""

import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from tool_server.channel.schema import nonces
from tool_server.channel.surface import Callback, Received, Refused

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


class Nonces:
    """The table. Only callbacks with a right signature come here, and each row lives for two windows at most."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._sweep_at = 0.0

    def keep(self, db: sa.Connection, seen: Seen) -> None:
        """Bind the nonce to its content, in the caller's transaction. Raises `Refused` if it is another's."""
        if self._is_time():
            self._sweep(db)
        row = {"nonce": seen.nonce, "body": seen.content, "expires_at": seen.expires_at}
        if db.execute(_insert(db.dialect.name), row).scalar_one_or_none() is not None:
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


@cache
def _insert(dialect: str) -> sa.Executable:
    """Made once: each claim runs it."""
    insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    row = insert(nonces).values({name: sa.bindparam(name) for name in nonces.c.keys()})  # noqa: SIM118
    return row.on_conflict_do_nothing(index_elements=["nonce"]).returning(nonces.c.nonce)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
