"""The web's half of the ledger: claiming a message, deciding passive or push, handing out the reply. See `work.py`.

A message's mode is decided once, by compare-and-set on its row. `passive`: the reply's bytes are stored, every
delivery gets the same ones, the newest open connection carries them. `push`: callbacks get an empty 200 for ever.
"""

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa
import structlog

from tool_server import wake_nodes
from tool_server.access import Asker
from tool_server.channel import kinds, nonces, tickets
from tool_server.channel.life import lives
from tool_server.channel.nonces import Nonces, Seen
from tool_server.channel.queue_limits import COUNTED, Place, QueueLimits, find_place, queue_length
from tool_server.channel.schema import events, messages
from tool_server.channel.surface import Incoming
from tool_server.database import Database
from tool_server.prepared import Prepared, together
from tool_server.settings import Settings

log = structlog.get_logger()

# Other nodes hear of a burst once: who hears looks for all there is, and what comes a moment later is found by polling.
TELL_EVERY_S = 0.02
# What still needs a worker. An answer that waits for its connection does not.
UNFINISHED = messages.c.waits_for == "worker"


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

    def __init__(self, database: Database, *, limits: QueueLimits, ticket_ttl_s: float) -> None:
        self._database = database
        self._limits = limits
        self._ticket_ttl_s = ticket_ttl_s
        self._tell_at = 0.0
        self.nonces = Nonces()

    @classmethod
    def open(cls, database: Database, settings: Settings) -> "Ledger":
        return cls(
            database, limits=QueueLimits.of(settings), ticket_ttl_s=settings.channel_ticket_ttl_s
        )

    def claim(
        self,
        account: str,
        incoming: Incoming,
        *,
        wait_until: float,
        stream: bool = False,
        seen: Seen | None = None,
    ) -> Claim:
        """Insert the message, or find it; on disk when this returns. Raises `Unavailable` when the queue is full.

        `wait_until` is when a connection, or the platform's interest in a `stream`, ends; 0 where nobody waits.
        `seen` is the callback's nonce; raises `Refused` if it is another message's.
        """

        def work(db: sa.Connection) -> Claim:
            return self.claim_within(
                db, account, incoming, wait_until=wait_until, stream=stream, seen=seen
            )

        claim = self._database.write(work)
        self.announce(claim, incoming)
        return claim

    def announce(self, claim: Claim, incoming: Incoming) -> None:
        """To be called once a claim is on disk: the log has it, workers of other nodes hear of it."""
        log.info("message.claimed", message=claim.message_id, new=claim.new, kind=incoming.kind)
        if claim.new and time.monotonic() >= self._tell_at:
            self._tell_at = time.monotonic() + TELL_EVERY_S
            wake_nodes.notify(self._database, "worker")

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
        found = lives(self._database, platform_id, account)
        return found[0] if found else None

    def unfinished(self) -> int:
        """How many messages still need a worker."""
        return self._database.read(queue_length)

    def claim_within(
        self,
        db: sa.Connection,
        account: str,
        incoming: Incoming,
        *,
        wait_until: float = 0.0,
        stream: bool = False,
        seen: Seen | None = None,
    ) -> Claim:
        """`claim` as a part of somebody's transaction; `announce` is theirs, too."""
        conversation = conversation_key(account, incoming.chat, incoming.user)
        if kinds.silent(incoming):
            if seen is not None:
                self.nonces.keep(db, seen)
            return _note_silent(db, account, incoming, conversation)
        values = _values(account, incoming, conversation)
        place = find_place(db, self._limits, values, self._look(db, values, seen))
        if place is None:
            return _repeat(db, incoming, wait_until)
        mode = _first_mode(incoming, place, wait_until, stream)
        ticket = tickets.new() if place.tell else ""
        values |= {"mode": mode, "wait_until": wait_until, "ticket": ticket}
        values |= {"turn": place.turn, "busy": place.busy}
        if not place.tell:
            values |= {"state": "done", "finished_at": values["received_at"]}
        asker, expires_at = _asker(account, incoming), time.time() + self._ticket_ttl_s
        message_id = _store(db, incoming, values, asker, expires_at)
        if message_id is None:
            return _repeat(db, incoming, wait_until)
        if place.busy:
            note(db, message_id, "busy", place=place.busy, told=place.tell)
        return Claim(message_id, True, mode, 1)

    def _look(self, db: sa.Connection, values: dict[str, Any], seen: Seen | None) -> Sequence[Any]:
        """How full the queue is, under the conversation's lock; before that the callback's nonce is kept."""
        if seen is not None:
            self.nonces.tidy(db)
        nonce = [(nonces.INSERT, nonces.row_of(seen))] if seen is not None else []
        counted = (
            COUNTED,
            {"name": values["conversation"], "key": values["dedupe_key"]},
        )
        found = together(db, *nonce, *_lock(db, values["conversation"]), counted)
        if seen is not None:
            self.nonces.judge(db, seen, found[0])
        return list(found[-1][0])


def note(db: sa.Connection, message_id: int, name: str, **data: Any) -> None:
    """Add a line to a message's timeline, in the transaction of what it tells."""
    text = json.dumps(data, ensure_ascii=False)
    _NOTE.rows(db, {"message_id": message_id, "at": time.time(), "name": name, "data": text})


_NOTE = Prepared(
    sa.insert(events)
    .inline()
    .values({name: sa.bindparam(name) for name in ("message_id", "at", "name", "data")})
)
_REPEAT = (
    sa.update(messages)
    .where(messages.c.dedupe_key == sa.bindparam("key"))
    .values(
        connections=messages.c.connections + 1,
        wait_until=sa.case(
            (messages.c.wait_until > sa.bindparam("until"), messages.c.wait_until),
            else_=sa.bindparam("until"),
        ),
    )
    .returning(messages.c.id, messages.c.mode, messages.c.connections)
)
# One atomic insert decides who is first.
_COLUMNS = [column for column in messages.c if column.name not in ("id", "waits_for")]
_DEFAULTS = {column.name: getattr(column.default, "arg", None) for column in _COLUMNS}
_INSERT_TEXT = (
    "INSERT INTO messages ({}) VALUES ({}) ON CONFLICT (dedupe_key) DO NOTHING RETURNING id".format(  # noqa: S608  (the schema's own names)
        ", ".join(f'"{name}"' for name in _DEFAULTS), ", ".join(f":{name}" for name in _DEFAULTS)
    )
)
_INSERT = Prepared(sa.text(_INSERT_TEXT))
_INSERT_ALL = Prepared(
    sa.text(
        f"""
        WITH new AS ({_INSERT_TEXT}),
        told AS (
            INSERT INTO events (message_id, at, name, data)
            SELECT id, CAST(:event_at AS double precision), 'received', CAST(:event_data AS text) FROM new
        ),
        given AS (
            INSERT INTO tickets (ticket, message_id, asker, expires_at, app, conversation)
            SELECT CAST(:ticket_ticket AS text), id, CAST(:ticket_asker AS text),
                CAST(:ticket_expires_at AS double precision), '', ''
            FROM new WHERE CAST(:ticket_ticket AS text) <> ''
        )
        SELECT id FROM new
        """  # noqa: S608  (the schema's own names)
    )
)


def _first_mode(incoming: Incoming, place: Place, wait_until: float, stream: bool) -> str:
    if not wait_until or not place.tell or kinds.quiet(incoming):
        return "push"
    return "stream" if stream else "open"


def stream_id(dedupe_key: str) -> str:
    """How the platform is told to name a message's stream: the same in every delivery, on every node."""
    return digest(dedupe_key)[:32]


def digest(dedupe_key: str) -> str:
    """What stands in the ledger for a surface's dedupe key, which may name a person."""
    return hashlib.sha256(dedupe_key.encode()).hexdigest()


def conversation_key(account: str, chat: str, user: str) -> str:
    """Who talks with whom where: order and memory are kept within it."""
    return f"{account}/{chat}/{user}"


_LOCK = Prepared(
    sa.select(
        sa.cast(sa.func.pg_advisory_xact_lock(sa.bindparam("lock", type_=sa.BigInteger)), sa.Text)
    )
)


def _lock(db: sa.Connection, conversation: str) -> list[tuple[Prepared, dict[str, int]]]:
    """Numbers of a conversation's messages grow in the order of their commits. SQLite has one writer anyway."""
    if db.dialect.name != "postgresql":
        return []
    number = int.from_bytes(hashlib.sha256(conversation.encode()).digest()[:8], signed=True)
    return [(_LOCK, {"lock": number})]


def _note_silent(db: sa.Connection, account: str, incoming: Incoming, conversation: str) -> Claim:
    """What nobody waits for an answer to."""
    values = _values(account, incoming, conversation)
    done = {"state": "done", "mode": "push", "finished_at": values["received_at"]}
    message_id = _insert(db, values | done)
    if message_id is None:
        return _repeat(db, incoming, 0.0)
    note(db, message_id, "noted", kind=incoming.kind)
    return Claim(message_id, True, "push", 1)


def _values(account: str, incoming: Incoming, conversation: str) -> dict[str, Any]:
    """The row of a new message."""
    return {
        "dedupe_key": digest(incoming.dedupe_key),
        "account": account,
        "platform_id": incoming.platform_id,
        "conversation": conversation,
        "user": incoming.user,
        "chat": incoming.chat,
        "kind": incoming.kind,
        "event": incoming.event,
        "question": incoming.text,
        "data": incoming.data,
        "media": json.dumps([asdict(media) for media in incoming.media], ensure_ascii=False),
        "quote": incoming.quote,
        "handle": incoming.handle,
        "sent_at": incoming.sent_at,
        "urgent": kinds.urgent(incoming),
        "stream_id": stream_id(incoming.dedupe_key),
        "received_at": time.time(),
        "state": "received",
        "connections": 1,
        "wait_until": 0.0,
        "turn": 0.0,
        "busy": 0,
        "ticket": "",
        "finished_at": None,
    }


def _insert(db: sa.Connection, values: dict[str, Any]) -> int | None:
    """The number of a new message; None where it is here already."""
    row = _INSERT.row(db, _DEFAULTS | values)
    return int(row[0]) if row else None


def _store(
    db: sa.Connection, incoming: Incoming, values: dict[str, Any], asker: Asker, expires_at: float
) -> int | None:
    """A new message with its ticket, where it has one, and the first line of its life; None where it is here already.

    PostgreSQL does it in one journey; SQLite, which is no journey away, knows no statement that writes three tables.
    """
    told = {"kind": incoming.kind, "sent_at": incoming.sent_at}
    if db.dialect.name == "postgresql":
        ticket = tickets.fresh(0, asker, expires_at=expires_at, ticket=values["ticket"])
        more = {f"ticket_{name}": value for name, value in ticket.items()}
        more |= {"event_at": time.time(), "event_data": json.dumps(told, ensure_ascii=False)}
        row = _INSERT_ALL.row(db, _DEFAULTS | values | more)
        return int(row[0]) if row else None
    message_id = _insert(db, values)
    if message_id is not None:
        if values["ticket"]:
            tickets.issue(db, message_id, asker, expires_at=expires_at, ticket=values["ticket"])
        note(db, message_id, "received", **told)
    return message_id


def _asker(account: str, incoming: Incoming) -> Asker:
    return Asker(
        account,
        incoming.user,
        chat_type="group" if incoming.chat else "single",
        chat=incoming.chat,
    )


def _repeat(db: sa.Connection, incoming: Incoming, wait_until: float) -> Claim:
    """A delivery of a message that we have: it becomes the newest connection."""
    names = {"key": digest(incoming.dedupe_key), "until": wait_until}
    row = db.execute(_REPEAT, names).one()
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
