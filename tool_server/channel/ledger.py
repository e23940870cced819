"""The web's half of the ledger: claiming a message, deciding passive or push, handing out the reply. See `work.py`.

A message's mode is decided once, by compare-and-set on its row. `passive`: the reply's bytes are stored, every
delivery gets the same ones, the newest open connection carries them. `push`: callbacks get an empty 200 for ever.
"""

import hashlib
import json
import time
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from tool_server.access import Asker
from tool_server.channel import kinds, tickets
from tool_server.channel.schema import deliveries, events, messages
from tool_server.channel.surface import Incoming
from tool_server.database import Database
from tool_server.errors import Unavailable

# What still needs a worker. An answer that waits for its connection does not.
UNFINISHED = sa.or_(
    messages.c.state.in_(("received", "asking")),
    sa.and_(messages.c.state == "answered", messages.c.mode == "push"),
)


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

    def claim(
        self, account: str, incoming: Incoming, *, wait_until: float, stream: bool = False
    ) -> Claim:
        """Insert the message, or find it; on disk when this returns. Raises `Unavailable` when the queue is full.

        `wait_until` is when a connection, or the platform's interest in a `stream`, ends; 0 where nobody waits.
        """
        return self._database.write(
            lambda db: self._claim(db, account, incoming, wait_until, stream)
        )

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
        self,
        db: sa.Connection,
        account: str,
        incoming: Incoming,
        wait_until: float,
        stream: bool,
    ) -> Claim:
        mode = _first_mode(incoming, wait_until, stream)
        message_id = _insert(db, account, incoming, wait_until, mode)
        if message_id is None:
            return _repeat(db, incoming.dedupe_key, wait_until)
        if kinds.silent(incoming):
            note(db, message_id, "noted", kind=incoming.kind)
            return Claim(message_id, True, "push", 1)
        if _queue_length(db) > self._queue_limit:
            raise Unavailable(
                "The queue is full.", retry_after=5
            )  # the insert is rolled back with it
        expires_at = time.time() + self._ticket_ttl_s
        asker = Asker(
            account,
            incoming.user,
            chat_type="group" if incoming.chat else "single",
            chat=incoming.chat,
        )
        ticket = tickets.issue(db, message_id, asker, expires_at=expires_at)
        db.execute(sa.update(messages).where(messages.c.id == message_id).values(ticket=ticket))
        note(db, message_id, "received", kind=incoming.kind, sent_at=incoming.sent_at)
        return Claim(message_id, True, mode, 1)


def note(db: sa.Connection, message_id: int, name: str, **data: Any) -> None:
    """Add a line to a message's timeline, in the transaction of what it tells."""
    text = json.dumps(data, ensure_ascii=False)
    db.execute(
        sa.insert(events).values(message_id=message_id, at=time.time(), name=name, data=text)
    )


def _first_mode(incoming: Incoming, wait_until: float, stream: bool) -> str:
    if kinds.silent(incoming) or not wait_until:
        return "push"
    return "stream" if stream else "open"


def stream_id(dedupe_key: str) -> str:
    """How the platform is told to name a message's stream: the same in every delivery, on every node."""
    return hashlib.sha256(dedupe_key.encode()).hexdigest()[:32]


def conversation_key(account: str, chat: str, user: str) -> str:
    """Who talks with whom where: order and memory are kept within it."""
    return f"{account}/{chat}/{user}"


def _insert(
    db: sa.Connection, account: str, incoming: Incoming, wait_until: float, mode: str
) -> int | None:
    """One atomic insert decides who is first; None for everybody else."""
    insert = postgresql.insert if db.dialect.name == "postgresql" else sqlite.insert
    silent = kinds.silent(incoming)
    now = time.time()
    statement = insert(messages).values(
        dedupe_key=incoming.dedupe_key,
        account=account,
        platform_id=incoming.platform_id,
        conversation=conversation_key(account, incoming.chat, incoming.user),
        user=incoming.user,
        chat=incoming.chat,
        kind=incoming.kind,
        event=incoming.event,
        question=incoming.text,
        data=incoming.data,
        media=json.dumps([asdict(media) for media in incoming.media], ensure_ascii=False),
        quote=incoming.quote,
        handle=incoming.handle,
        sent_at=incoming.sent_at,
        urgent=kinds.urgent(incoming),
        stream_id=stream_id(incoming.dedupe_key),
        received_at=now,
        state="done" if silent else "received",
        mode=mode,
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
        .returning(messages.c.id, messages.c.mode, messages.c.connections)
    ).one()
    note(db, row.id, "repeated", connection=row.connections)
    return Claim(row.id, False, row.mode, row.connections)


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
