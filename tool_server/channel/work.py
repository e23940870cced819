"""The worker's half of the ledger: leases with fencing, runs, answers, pieces. Each method is one transaction."""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from tool_server.channel import tickets
from tool_server.channel.ledger import UNFINISHED, note
from tool_server.channel.schema import conversations, deliveries, messages
from tool_server.channel.surface import Address
from tool_server.database import Database

# A connection that has less time than this left would be cut while the reply is on its way.
PASSIVE_MARGIN_S = 0.05


class LostLease(Exception):
    """Another worker has taken this message over: whatever we were about to do is no longer ours."""


@dataclass(frozen=True)
class Job:
    """A leased message; every write of its worker names the fence."""

    id: int
    fence: int
    account: str
    user: str
    chat: str
    conversation: str
    kind: str
    event: str
    question: str
    data: str
    media: str
    quote: str
    handle: str
    sent_at: float
    busy: int
    state: str
    attempts: int
    ticket: str
    dify_task: str
    dify_message: str
    dify_conversation: str
    answer: str
    received_at: float

    @property
    def address(self) -> Address:
        return Address(self.user, self.chat, self.handle)


@dataclass(frozen=True)
class Unfetched:
    """An answer that waited for a connection and that none fetched."""

    id: int
    account: str
    address: Address
    answer: str


@dataclass(frozen=True)
class Piece:
    """One part of an answer on its way."""

    id: int
    ordinal: int
    body: str
    attempts: int


class Work:
    """What a worker reads and writes; `owner` names this worker process."""

    def __init__(
        self, database: Database, owner: str, *, lease_s: float, ticket_ttl_s: float
    ) -> None:
        self._database = database
        self._owner = owner
        self._lease_s = lease_s
        self._ticket_ttl_s = ticket_ttl_s

    def waiting(self, without: Collection[str] = ()) -> bool:
        """Whether any message may be free; a cheap question before the write that `lease` is."""
        now = time.time()
        free = sa.select(messages.c.id).where(
            UNFINISHED,
            messages.c.next_at <= now,
            messages.c.lease_until <= now,
            messages.c.account.not_in(without),
        )
        return self._database.read(lambda db: db.scalar(free.limit(1)) is not None)

    def lease(self, without: Collection[str] = ()) -> Job | None:
        """The oldest message that may be worked on now; one at a time per conversation.

        `without` names accounts whose connection another process holds.
        """
        return self._database.write(lambda db: self._lease(db, without))

    def renew(self, ids: Collection[int]) -> None:
        """Keep the leases of the messages that this process works on."""
        self._database.write(
            lambda db: db.execute(
                sa.update(messages)
                .where(messages.c.id.in_(ids), messages.c.owner == self._owner)
                .values(lease_until=time.time() + self._lease_s)
            )
        )

    def owners(self) -> list[str]:
        """Everybody but us who holds a lease."""
        found = sa.select(messages.c.owner).where(
            UNFINISHED, messages.c.owner.not_in(("", self._owner))
        )
        return self._database.read(lambda db: list(db.scalars(found.distinct())))

    def take_from(self, owner: str) -> int:
        """Free the messages of a worker that is dead; how many it held."""

        def work(db: sa.Connection) -> int:
            held = list(
                db.scalars(sa.select(messages.c.id).where(UNFINISHED, messages.c.owner == owner))
            )
            db.execute(
                sa.update(messages).where(messages.c.id.in_(held)).values(owner="", lease_until=0.0)
            )
            for message_id in held:
                note(db, message_id, "worker.lost", owner=owner)
            return len(held)

        return self._database.write(work)

    def run_started(
        self, job: Job, *, task: str, message: str, conversation: str, again: str
    ) -> None:
        """Dify has begun: keep its three ids before anything else is read. `again` says why it is not the first run."""

        def work(db: sa.Connection) -> None:
            _update(
                db,
                job,
                dify_task=task,
                dify_message=message,
                dify_conversation=conversation,
                model_runs=messages.c.model_runs + 1,
            )
            note(db, job.id, "run.started", dify_message=message, again=again)

        self._database.write(work)

    def settle(
        self, job: Job, answer: str, *, bodies: Sequence[str], reply: bytes | None, dify: str
    ) -> str:
        """Store the answer and decide its mode: passive if it has a `reply` and a connection waits, else push.

        Returns the mode. `dify` is the conversation to go on with, empty for none.
        """
        return self._database.write(lambda db: _settle(db, job, answer, bodies, reply, dify))

    def pieces(self, job: Job) -> list[Piece]:
        """The pieces that are still to be sent, in order."""
        pending = sa.select(deliveries).where(
            deliveries.c.message_id == job.id, deliveries.c.state == "pending"
        )
        rows = self._database.read(
            lambda db: db.execute(pending.order_by(deliveries.c.ordinal)).all()
        )
        return [Piece(row.id, row.ordinal, row.body, row.attempts) for row in rows]

    def check(self, job: Job) -> None:
        """Raise `LostLease` unless the message is still ours; asked before each push."""
        fence = self._database.read(
            lambda db: db.scalar(sa.select(messages.c.fence).where(messages.c.id == job.id))
        )
        if fence != job.fence:
            raise LostLease

    def sent(self, job: Job, piece: Piece, platform_id: str, *, last: bool) -> None:
        def work(db: sa.Connection) -> None:
            _touch(db, piece, state="sent", platform_id=platform_id, sent_at=time.time())
            note(db, job.id, "piece.sent", ordinal=piece.ordinal, platform_id=platform_id)
            if last:
                _update(db, job, state="done", finished_at=time.time(), owner="")

        self._database.write(work)

    def later(self, job: Job, reason: str, *, in_s: float) -> None:
        """Give the message back, to be taken up again after a pause."""

        def work(db: sa.Connection) -> None:
            _update(
                db,
                job,
                owner="",
                lease_until=0.0,
                next_at=time.time() + in_s,
                attempts=messages.c.attempts + 1,
            )
            note(db, job.id, "later", reason=reason, in_s=round(in_s, 2))

        self._database.write(work)

    def give_up(self, job: Job, reason: str) -> None:
        """A dead letter: what could not be delivered stays in the ledger, with its reason."""

        def work(db: sa.Connection) -> None:
            db.execute(
                sa.update(deliveries)
                .where(deliveries.c.message_id == job.id, deliveries.c.state == "pending")
                .values(state="failed", error=reason[:200])
            )
            _update(db, job, state="failed", finished_at=time.time(), owner="")
            note(db, job.id, "given.up", reason=reason)

        self._database.write(work)

    def happened(self, job: Job, name: str, **data: Any) -> None:
        """A line in the timeline that changes nothing else."""
        self._database.write(lambda db: note(db, job.id, name, **data))

    def conversation(self, job: Job, *, idle_s: float) -> str:
        """Dify's conversation of this person, or an empty string after `idle_s` of silence."""
        row = self._database.read(
            lambda db: db.execute(
                sa.select(conversations).where(conversations.c.key == job.conversation)
            ).one_or_none()
        )
        if row is None or time.time() - row.last_at > idle_s:
            return ""
        return str(row.dify_id)

    def forget_conversation(self, job: Job) -> None:
        self._database.write(
            lambda db: db.execute(
                sa.delete(conversations).where(conversations.c.key == job.conversation)
            )
        )

    def show(self, job: Job, text: str) -> None:
        """What the message's stream shows from now on."""
        self._database.write(lambda db: _update(db, job, stream=text))

    def unfetched(self, before: float) -> list[Unfetched]:
        """Answers whose last connection's time ended before `before` and that none fetched."""
        names = ("id", "account", "user", "chat", "handle", "answer")
        found = sa.select(*(messages.c[name] for name in names)).where(
            messages.c.state == "answered",
            messages.c.mode.in_(("passive", "stream")),
            messages.c.fetched_at.is_(None),
            messages.c.wait_until < before,
        )
        rows = self._database.read(lambda db: db.execute(found).all())
        return [
            Unfetched(row.id, row.account, Address(row.user, row.chat, row.handle), row.answer)
            for row in rows
        ]

    def push_instead(self, message_id: int, bodies: Sequence[str]) -> bool:
        """Turn a passive reply that nobody fetched into a push; False if a connection was faster."""

        def work(db: sa.Connection) -> bool:
            changed = db.execute(
                sa.update(messages)
                .where(
                    messages.c.id == message_id,
                    messages.c.mode.in_(("passive", "stream")),
                    messages.c.fetched_at.is_(None),
                )
                .values(mode="push", owner="", lease_until=0.0, next_at=0.0)
            ).rowcount
            if changed:
                _add_pieces(db, message_id, bodies)
                note(db, message_id, "mode.push", reason="no connection fetched the reply")
            return bool(changed)

        return self._database.write(work)

    def counts(self) -> dict[str, int]:
        """Unfinished messages by state, for the heartbeat."""
        found = (
            sa.select(messages.c.state, sa.func.count())
            .where(UNFINISHED)
            .group_by(messages.c.state)
        )
        return self._database.read(lambda db: {row[0]: row[1] for row in db.execute(found)})

    def _lease(self, db: sa.Connection, without: Collection[str]) -> Job | None:
        now = time.time()
        earlier = messages.alias("earlier")
        blocked = sa.exists().where(
            earlier.c.conversation == messages.c.conversation,
            earlier.c.id < messages.c.id,
            sa.or_(
                earlier.c.state.in_(("received", "asking")),
                sa.and_(earlier.c.state == "answered", earlier.c.mode == "push"),
            ),
        )
        oldest = (
            sa.select(messages.c.id)
            .where(
                UNFINISHED,
                messages.c.next_at <= now,
                messages.c.lease_until <= now,
                messages.c.account.not_in(without),
                sa.or_(messages.c.urgent, ~blocked),
            )
            .order_by(messages.c.id)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        message_id = db.scalar(oldest)
        if message_id is None:
            return None
        row = db.execute(
            sa.update(messages)
            .where(messages.c.id == message_id)
            .values(
                owner=self._owner,
                lease_until=now + self._lease_s,
                fence=messages.c.fence + 1,
                state=sa.case((messages.c.state == "received", "asking"), else_=messages.c.state),
            )
            .returning(*(messages.c[name] for name in Job.__dataclass_fields__))
        ).one()
        note(db, message_id, "leased", owner=self._owner, fence=row.fence)
        tickets.extend(db, row.ticket, now + self._ticket_ttl_s)
        return Job(**row._mapping)


def _settle(
    db: sa.Connection, job: Job, answer: str, bodies: Sequence[str], reply: bytes | None, dify: str
) -> str:
    now = time.time()
    _update(db, job, state="answered", answer=answer)
    if dify:
        _keep_conversation(db, job.conversation, dify, now)
    note(db, job.id, "answered", characters=len(answer), pieces=len(bodies))
    if reply is not None and len(bodies) == 1:
        waiting = db.execute(
            sa.update(messages)
            .where(
                messages.c.id == job.id,
                messages.c.mode == "open",
                messages.c.wait_until > now + PASSIVE_MARGIN_S,
            )
            .values(mode="passive", reply=reply, owner="", lease_until=0.0)
        ).rowcount
        if waiting:
            note(db, job.id, "mode.passive")
            return "passive"
    changed = db.execute(
        sa.update(messages)
        .where(messages.c.id == job.id, messages.c.mode == "open")
        .values(mode="push")
    ).rowcount
    if changed:
        note(db, job.id, "mode.push", reason="no connection waits for one piece")
    _add_pieces(db, job.id, bodies)
    return "push"


def _keep_conversation(db: sa.Connection, key: str, dify: str, now: float) -> None:
    changed = db.execute(
        sa.update(conversations).where(conversations.c.key == key).values(dify_id=dify, last_at=now)
    ).rowcount
    if not changed:
        db.execute(sa.insert(conversations).values(key=key, dify_id=dify, last_at=now))


def _add_pieces(db: sa.Connection, message_id: int, bodies: Sequence[str]) -> None:
    for ordinal, body in enumerate(bodies, start=1):
        db.execute(
            sa.insert(deliveries).values(
                message_id=message_id, ordinal=ordinal, body=body, state="pending"
            )
        )


def _update(db: sa.Connection, job: Job, **values: Any) -> None:
    """Change the message's row if it is still ours."""
    changed = db.execute(
        sa.update(messages)
        .where(messages.c.id == job.id, messages.c.fence == job.fence)
        .values(**values)
    ).rowcount
    if not changed:
        raise LostLease


def _touch(db: sa.Connection, piece: Piece, **values: Any) -> None:
    db.execute(
        sa.update(deliveries)
        .where(deliveries.c.id == piece.id)
        .values(attempts=deliveries.c.attempts + 1, **values)
    )
