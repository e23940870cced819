"""The worker's half of the ledger: leases with fencing, runs, answers, pieces. Each method is one transaction."""

import time
from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa

from tool_server import wake_nodes
from tool_server.access import Asker
from tool_server.channel import memory, tickets
from tool_server.channel.ending import add_pieces, give_up, settle
from tool_server.channel.job import Job, LostLease, Piece, Stopped, Unfetched, update
from tool_server.channel.leasing import free_message, take
from tool_server.channel.ledger import UNFINISHED, note
from tool_server.channel.pictures import kept
from tool_server.channel.schema import conversations, deliveries, given, messages
from tool_server.channel.surface import Address, Picture
from tool_server.database import Database

# Documents of one conversation whose rights are looked at anew before each question.
GIVEN = 1000


class Work:
    """What a worker reads and writes; `owner` names this worker process."""

    def __init__(
        self, database: Database, owner: str, *, lease_s: float, ticket_ttl_s: float
    ) -> None:
        self._database = database
        self._owner = owner
        self._lease_s = lease_s
        self._ticket_ttl_s = ticket_ttl_s

    def waiting(
        self, without: Collection[str] = (), *, quick: bool = False, suspects: bool = True
    ) -> bool:
        """Whether `lease` would find one; a cheap question before the write that it is."""
        found = free_message(time.time(), without, quick, suspects)
        return self._database.read(lambda db: db.scalar(found) is not None)

    def lease(
        self, without: Collection[str] = (), *, quick: bool = False, suspects: bool = True
    ) -> Job | None:
        """The message whose turn it is, of those that may be worked on now; one at a time per conversation.

        `without` names accounts whose connection another process holds; `quick` asks for urgent and busy ones alone,
        without `suspects` those of which workers may have died are left.
        """
        leased = self.lease_some(1, without, quick=quick, suspects=suspects)
        return leased[0] if leased else None

    def lease_some(
        self,
        most: int,
        without: Collection[str] = (),
        *,
        quick: bool = False,
        suspects: bool = True,
    ) -> list[Job]:
        """Up to `most` of them, in their order, at most one suspect among them; many commits would take their time."""
        return self._database.write(lambda db: self._lease(db, most, without, quick, suspects))

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
            freed = (
                sa.update(messages)
                .where(UNFINISHED, messages.c.owner == owner)
                .values(owner="", lease_until=0.0, takeovers=messages.c.takeovers + 1)
                .returning(messages.c.id)
            )
            held = list(db.scalars(freed))
            for message_id in held:
                note(db, message_id, "worker.lost", owner=owner)
            return len(held)

        return self._database.write(work)

    def run_started(
        self, job: Job, *, task: str, message: str, conversation: str, again: str, run: str = ""
    ) -> None:
        """Dify has begun: keep its ids before anything else is read. `again` says why it is not the first run."""

        def work(db: sa.Connection) -> None:
            update(
                db,
                job,
                dify_task=task,
                dify_message=message,
                dify_conversation=conversation,
                dify_run=run,
                model_runs=messages.c.model_runs + 1,
            )
            note(db, job.id, "run.started", dify_message=message, again=again)

        self._database.write(work)

    def settle(
        self,
        job: Job,
        answer: str,
        *,
        bodies: Sequence[str],
        reply: bytes | None,
        dify: str,
        pictures: Sequence[Picture] = (),
    ) -> str:
        """Store the answer and decide its mode: passive if it has a `reply` and a connection waits, else push.

        A message whose stream is still asked for keeps its mode.

        Returns the mode. `dify` is the conversation to go on with, empty for none. A stream carries the `pictures`.
        """
        mode = self._database.write(
            lambda db: settle(db, job, answer, bodies, reply, dify, pictures)
        )
        wake_nodes.notify(self._database, "web", str(job.id))
        return mode

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
                ended = sa.case((messages.c.fault == "", "done"), else_="failed")
                update(db, job, state=ended, finished_at=time.time(), owner="")

        self._database.write(work)

    def later(self, job: Job, reason: str, *, in_s: float) -> None:
        """Give the message back, to be taken up again after a pause."""

        def work(db: sa.Connection) -> None:
            update(
                db,
                job,
                owner="",
                lease_until=0.0,
                next_at=time.time() + in_s,
                attempts=messages.c.attempts + 1,
            )
            note(db, job.id, "later", reason=reason, in_s=round(in_s, 2))

        self._database.write(work)

    def give_back(self, job: Job, reason: str, *, in_s: float) -> None:
        """To be taken up again soon, by whoever can then; it was no try."""

        def work(db: sa.Connection) -> None:
            update(db, job, owner="", lease_until=0.0, next_at=time.time() + in_s)
            note(db, job.id, "given.back", reason=reason)

        self._database.write(work)

    def give_up(self, job: Job, reason: str, last_words: str = "") -> bool:
        """A dead letter: what could not be delivered stays in the ledger, with its reason.

        `last_words` is the request of a sentence that says so to its person; True when it is to be sent now. Where it
        cannot be sent either, the message is given up for good.
        """
        return self._database.write(lambda db: give_up(db, job, reason[:200], last_words))

    def set_aside(self, job: Job, reason: str) -> None:
        """A message that is not ours to answer: noted, with its reason."""

        def work(db: sa.Connection) -> None:
            update(db, job, state="done", finished_at=time.time(), owner="")
            note(db, job.id, "noted", reason=reason)

        self._database.write(work)

    def happened(self, job: Job, name: str, **data: Any) -> None:
        """A line in the timeline that changes nothing else."""
        self._database.write(lambda db: note(db, job.id, name, **data))

    def nothing(self, job: Job, why: str) -> None:
        """The message ends without an answer: an event that only had to be heard, or a second welcome."""

        def work(db: sa.Connection) -> None:
            update(db, job, state="done", mode="push", finished_at=time.time(), owner="")
            note(db, job.id, "nothing", why=why)

        self._database.write(work)

    def fill_ticket(self, job: Job, asker: Asker) -> bool:
        """From now on the message's ticket opens what this asker may see. Call it before the app is asked.

        A conversation of other rights ends: it remembers what these may not see. False where that is also so for the
        conversation of an earlier run of this message.
        """
        return self._database.write(lambda db: _fill_ticket(db, job, asker))

    def given(self, job: Job) -> list[str]:
        """Documents whose passages the conversation remembers that `job` would go on in; the newest, if many."""
        conversation = sa.select(conversations.c.dify_id).where(
            conversations.c.key == job.conversation, conversations.c.dify_id != ""
        )
        found = (
            sa.select(given.c.document)
            .join(messages, messages.c.id == given.c.message_id)
            .where(
                messages.c.account == job.account,
                messages.c.user == job.user,
                messages.c.dify_conversation == conversation.scalar_subquery(),
            )
            .order_by(given.c.message_id.desc())
            .limit(GIVEN)
        )
        return self._database.read(lambda db: list(dict.fromkeys(db.scalars(found))))

    def forget_conversation(self, job: Job) -> None:
        """It remembers what its person may not see any more: the message begins a new one."""

        def work(db: sa.Connection) -> None:
            memory.begin_anew(db, job.conversation)
            note(db, job.id, "rights.changed")

        self._database.write(work)

    def understood(self, job: Job, question: str) -> None:
        """What a message without text turned out to ask; another lease need not find out again."""

        def work(db: sa.Connection) -> None:
            update(db, job, question=question)
            note(db, job.id, "understood", characters=len(question))

        self._database.write(work)

    def new_ticket(self, job: Job) -> str:
        """A ticket for another run of the message: the earlier one is bound to the conversation of its run."""

        def work(db: sa.Connection) -> str:
            ticket = tickets.renew(db, job.ticket, expires_at=time.time() + self._ticket_ttl_s)
            update(db, job, ticket=ticket)
            return ticket

        return self._database.write(work)

    def stop_conversation(self, job: Job) -> list[Stopped]:
        """Mark what this person has asked before `job` in its chat and has no answer to; what was marked now."""
        return self._database.write(lambda db: _stop_conversation(db, job))

    def stopped(self, job: Job) -> bool:
        """Whether the person wants no answer to this message any more."""
        at = sa.select(messages.c.stopped_at).where(messages.c.id == job.id)
        return self._database.read(lambda db: db.scalar(at)) is not None

    def show(self, job: Job, text: str) -> None:
        """What people see of an answer that we send piece by piece; raises `LostLease` where another does so by now."""
        self._database.write(lambda db: update(db, job, stream=text))

    def show_all(self, contents: Sequence[tuple[Job, str]]) -> None:
        """What these messages' streams show from now on; one that is no longer ours, or ended, stays as it is."""
        change = (
            sa.update(messages)
            .where(
                messages.c.id == sa.bindparam("job_id"),
                messages.c.fence == sa.bindparam("job_fence"),
                messages.c.state == "asking",
                messages.c.mode == "stream",
            )
            .values(stream=sa.bindparam("shown"))
        )
        rows = [{"job_id": job.id, "job_fence": job.fence, "shown": text} for job, text in contents]
        self._database.write(lambda db: db.execute(change, rows))

    def unfetched(self, before: float) -> list[Unfetched]:
        """Answers whose last connection's time ended before `before` and that none fetched."""
        names = ("id", "account", "user", "chat", "handle", "answer")
        found = sa.select(*(messages.c[name] for name in names)).where(
            messages.c.waits_for == "connection",
            messages.c.mode.in_(("passive", "stream")),
            messages.c.fetched_at.is_(None),
            messages.c.wait_until < before,
        )
        rows = self._database.read(lambda db: db.execute(found).all())
        return [
            Unfetched(row.id, row.account, Address(row.user, row.chat, row.handle), row.answer)
            for row in rows
        ]

    def pictures(self, message_id: int) -> list[Picture]:
        """What its stream was to carry."""
        return self._database.read(lambda db: kept(db, message_id))

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
                add_pieces(db, message_id, bodies)
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

    def _lease(
        self, db: sa.Connection, most: int, without: Collection[str], quick: bool, suspects: bool
    ) -> list[Job]:
        now = time.time()
        found = free_message(now, without, quick, suspects).limit(most)
        jobs = take(db, found, by=self._owner, until=now + self._lease_s)
        for job in jobs:
            note(db, job.id, "leased", owner=self._owner, fence=job.fence)
        if jobs:
            tickets.extend(db, [job.ticket for job in jobs], now + self._ticket_ttl_s)
        return jobs


def _fill_ticket(db: sa.Connection, job: Job, asker: Asker) -> bool:
    same = tickets.asker_of(db, job.ticket) == asker
    tickets.fill(db, job.ticket, asker)
    if memory.keep_rights(db, job.conversation, tickets.digest(asker)):
        note(db, job.id, "rights.changed")
    return same


def _stop_conversation(db: sa.Connection, job: Job) -> list[Stopped]:
    rows = db.execute(
        sa.update(messages)
        .where(
            messages.c.conversation == job.conversation,
            messages.c.id < job.id,
            messages.c.state.in_(("received", "asking")),
            sa.or_(messages.c.kind != "event", messages.c.event == "click"),
            ~messages.c.urgent,
            messages.c.stopped_at.is_(None),
        )
        .values(stopped_at=time.time(), next_at=0.0)
        .returning(messages.c.id, messages.c.dify_task)
    ).all()
    for row in rows:
        note(db, row.id, "stopped", by=job.id)
    return [Stopped(row.id, row.dify_task) for row in rows]


def _touch(db: sa.Connection, piece: Piece, **values: Any) -> None:
    db.execute(
        sa.update(deliveries)
        .where(deliveries.c.id == piece.id)
        .values(attempts=deliveries.c.attempts + 1, **values)
    )
