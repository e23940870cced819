"""The web's half of the ledger: claiming a message, deciding passive or push, handing out the reply. See `work.py`.

A message's mode is decided once, by compare-and-set on its row. `passive`: the reply's bytes are stored, every
delivery gets the same ones, the newest open connection carries them. `push`: callbacks get an empty 200 for ever.
"""

import json
import time
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from tool_server.access import Asker
from tool_server.channel import tickets
from tool_server.channel.schema import deliveries, events, messages
from tool_server.channel.surface import Incoming
from tool_server.database import Database
from tool_server.errors import Unavailable

# What still needs a worker. An answer that waits for its connection does not.
UNFINISHED = sa.or_(
    messages.c.state.in_(("received", "asking")),
    sa.and_(messages.c.state == "answered", messages.c.mode == "push"),
)
# Kinds that are noted and need no answer.
SILENT_KINDS = ("event",)


@dataclass(frozen=True)
class Claim:
    """What a delivery found: a message that is new, or the one it repeats."""

    message_id: int
    new: bool
    mode: str
    connection: int


@dataclass(frozen=True)
class View:
    """What a waiting connection needs to know of its message."""

    mode: str
    connections: int


class Ledger:
    """Claims and replies; each method is one transaction."""

    def __init__(self, database: Database, *, queue_limit: int, ticket_ttl_s: float) -> None:
        self._database = database
        self._queue_limit = queue_limit
        self._ticket_ttl_s = ticket_ttl_s

    def claim(self, account: str, incoming: Incoming, *, wait_until: float) -> Claim:
        """Insert the message, or find it; on disk when this returns. Raises `Unavailable` when the queue is full."""
        return self._database.write(lambda db: self._claim(db, account, incoming, wait_until))

    def view(self, message_id: int) -> View:
        row = self._database.read(
            lambda db: db.execute(
                sa.select(messages.c.mode, messages.c.connections).where(
                    messages.c.id == message_id
                )
            ).one()
        )
        return View(row.mode, row.connections)

    def fetch(self, claim: Claim) -> bytes | None:
        """The passive reply for this connection; None when a newer one has come or the answer is pushed."""
        return self._database.write(lambda db: _fetch(db, claim))

    def miss(self, claim: Claim) -> None:
        """The connection that was to carry the reply is gone: the reply waits for the next one, or for the sweeper."""

        def work(db: sa.Connection) -> None:
            changed = db.execute(
                sa.update(messages)
                .where(
                    messages.c.id == claim.message_id,
                    messages.c.mode == "passive",
                    messages.c.connections == claim.connection,
                )
                .values(fetched_at=None, finished_at=None, state="answered")
            ).rowcount
            if changed:
                note(db, claim.message_id, "passive.missed", connection=claim.connection)

        self._database.write(work)

    def stop_waiting(self, claim: Claim) -> None:
        """This connection can wait no longer: unless the answer is there, or a newer one waits, it will be pushed."""

        def work(db: sa.Connection) -> None:
            changed = db.execute(
                sa.update(messages)
                .where(
                    messages.c.id == claim.message_id,
                    messages.c.mode == "open",
                    messages.c.connections == claim.connection,
                )
                .values(mode="push")
            ).rowcount
            if changed:
                note(db, claim.message_id, "mode.push", reason="the connection's time was up")

        self._database.write(work)

    def timeline(self, account: str, platform_id: str) -> dict[str, Any] | None:
        """A message's life, as JSON; None where there is no such message."""
        return self._database.read(lambda db: _timeline(db, account, platform_id))

    def _claim(
        self, db: sa.Connection, account: str, incoming: Incoming, wait_until: float
    ) -> Claim:
        message_id = _insert(db, account, incoming, wait_until)
        if message_id is None:
            return _repeat(db, incoming.dedupe_key, wait_until)
        if incoming.kind in SILENT_KINDS:
            note(db, message_id, "noted", kind=incoming.kind)
            return Claim(message_id, True, "push", 1)
        if _queue_length(db) > self._queue_limit:
            raise Unavailable(
                "The queue is full.", retry_after=5
            )  # the insert is rolled back with it
        expires_at = time.time() + self._ticket_ttl_s
        ticket = tickets.issue(db, message_id, Asker(account, incoming.user), expires_at=expires_at)
        db.execute(sa.update(messages).where(messages.c.id == message_id).values(ticket=ticket))
        note(db, message_id, "received", kind=incoming.kind, sent_at=incoming.sent_at)
        return Claim(message_id, True, "open" if wait_until else "push", 1)


def note(db: sa.Connection, message_id: int, name: str, **data: Any) -> None:
    """Add a line to a message's timeline, in the transaction of what it tells."""
    text = json.dumps(data, ensure_ascii=False)
    db.execute(
        sa.insert(events).values(message_id=message_id, at=time.time(), name=name, data=text)
    )


def _insert(db: sa.Connection, account: str, incoming: Incoming, wait_until: float) -> int | None:
    """One atomic insert decides who is first; None for everybody else."""
    insert = postgresql.insert if db.dialect.name == "postgresql" else sqlite.insert
    silent = incoming.kind in SILENT_KINDS
    now = time.time()
    statement = insert(messages).values(
        dedupe_key=incoming.dedupe_key,
        account=account,
        platform_id=incoming.platform_id,
        conversation=f"{account}/{incoming.user}",
        user=incoming.user,
        kind=incoming.kind,
        question=incoming.text,
        received_at=now,
        state="done" if silent else "received",
        mode="open" if wait_until and not silent else "push",
        connections=1,
        wait_until=wait_until,
        finished_at=now if silent else None,
    )
    added = statement.on_conflict_do_nothing(index_elements=["dedupe_key"]).returning(messages.c.id)
    return db.execute(added).scalar_one_or_none()


def _repeat(db: sa.Connection, dedupe_key: str, wait_until: float) -> Claim:
    """A delivery of a message that we have: it becomes the newest connection."""
    row = db.execute(
        sa.update(messages)
        .where(messages.c.dedupe_key == dedupe_key)
        .values(
            connections=messages.c.connections + 1,
            wait_until=sa.case(
                (messages.c.wait_until > wait_until, messages.c.wait_until), else_=wait_until
            ),
        )
        .returning(messages.c.id, messages.c.mode, messages.c.connections, messages.c.kind)
    ).one()
    note(db, row.id, "repeated", connection=row.connections)
    mode = "push" if row.kind in SILENT_KINDS else row.mode
    return Claim(row.id, False, mode, row.connections)


def _fetch(db: sa.Connection, claim: Claim) -> bytes | None:
    now = time.time()
    row = db.execute(
        sa.update(messages)
        .where(
            messages.c.id == claim.message_id,
            messages.c.mode == "passive",
            messages.c.connections == claim.connection,
        )
        .values(fetched_at=now, finished_at=now, state="done")
        .returning(messages.c.reply)
    ).one_or_none()
    if row is None:
        return None
    note(db, claim.message_id, "passive.fetched", connection=claim.connection, bytes=len(row.reply))
    return bytes(row.reply)


def _queue_length(db: sa.Connection) -> int:
    return db.scalar(sa.select(sa.func.count()).select_from(messages).where(UNFINISHED)) or 0


TIMELINE_COLUMNS = (
    *(
        "id",
        "account",
        "platform_id",
        "user",
        "kind",
        "state",
        "mode",
        "received_at",
        "finished_at",
    ),
    *("connections", "attempts", "model_runs", "fence", "dify_task", "dify_message"),
    *("dify_conversation", "fetched_at"),
)


def _timeline(db: sa.Connection, account: str, platform_id: str) -> dict[str, Any] | None:
    columns = [messages.c[name] for name in TIMELINE_COLUMNS]
    found = sa.select(*columns).where(
        messages.c.account == account, messages.c.platform_id == platform_id
    )
    row = db.execute(found).mappings().one_or_none()
    if row is None:
        return None
    happened = db.execute(
        sa.select(events.c.at, events.c.name, events.c.data)
        .where(events.c.message_id == row["id"])
        .order_by(events.c.id)
    )
    pieces = db.execute(
        sa.select(deliveries)
        .where(deliveries.c.message_id == row["id"])
        .order_by(deliveries.c.ordinal)
    )
    return {
        "message": dict(row),
        "events": [{"at": e.at, "name": e.name, "data": json.loads(e.data)} for e in happened],
        "pieces": [
            {
                "ordinal": piece.ordinal,
                "state": piece.state,
                "bytes": len(piece.body.encode()),
                "attempts": piece.attempts,
                "error": piece.error,
                "sent_at": piece.sent_at,
            }
            for piece in pieces
        ],
    }
