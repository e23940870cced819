"""What people think of an answer: kept in the ledger when they say it, brought to Dify as soon as Dify takes it.

An answer is named by its message's `stream_id`, which a bot gives as the stream's feedback id and a card as its task.
"""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa
import structlog
from prometheus_client import Counter

from tool_server.channel.accounts import Accounts
from tool_server.channel.dify import Dify, DifyError, Rating
from tool_server.channel.job import Job
from tool_server.channel.ledger import note
from tool_server.channel.schema import feedback, messages
from tool_server.database import Database

log = structlog.get_logger()

# What a bot's feedback event says (101027): accurate, inaccurate, taken back; and the reasons that can be chosen.
RATINGS: dict[int, Rating] = {1: "like", 2: "dislike", 3: ""}
REASONS = {1: "与问题无关", 2: "内容不完整", 3: "内容有错误", 4: "数据分析错误"}
# The keys of a card's buttons.
KEYS: dict[str, Rating] = {"like": "like", "dislike": "dislike"}
REASON_CHARACTERS = 2000
# Seconds before the n-th new try: 2, 4, 8, … up to an hour.
FIRST_PAUSE_S = 2.0
LONGEST_PAUSE_S = 3600.0
# Another worker takes up what this one was sending when it died.
SENDING_S = 60.0
POLL_S = 1.0
AT_ONCE = 20


@dataclass(frozen=True)
class Thumb:
    """One person's word on one answer."""

    answer: str  # the `stream_id` of its message
    rating: Rating
    reason: str = ""


@dataclass(frozen=True)
class _Due:
    id: int
    message: int
    account: str
    dify_message: str
    asker: str
    rating: Rating
    reason: str
    attempts: int


def read(data: str) -> Thumb | None:
    """The thumb in a bot's feedback event, or in the press of a card's button; None for what is none."""
    try:
        event = json.loads(data)
        if "TaskId" in event:
            return Thumb(str(event["TaskId"]), KEYS[event.get("EventKey")])
        rating = RATINGS[int(event["type"])]
        reasons = [
            REASONS.get(int(one), str(one)) for one in event.get("inaccurate_reason_list") or []
        ]
        words = "；".join([*reasons, *([str(event["content"])] if event.get("content") else [])])
        return Thumb(str(event["id"]), rating, words[:REASON_CHARACTERS])
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


@dataclass(frozen=True)
class Feedbacks:
    """Keeps thumbs and sends them; a newer one of the same person takes the place of one that still waits."""

    database: Database
    accounts: Accounts
    dify: Dify
    counter: Counter
    attempts: int
    clock: Callable[[], float] = time.time

    def keep(self, job: Job, thumb: Thumb) -> bool:
        """On disk when this returns; False where the answer is not known, or was not this person's to see."""
        return self.database.write(lambda db: _keep(db, job, thumb, self.clock()))

    def run(self, stopped: threading.Event) -> None:
        """Send what is due until `stopped`; a thread of the worker."""
        while not stopped.wait(POLL_S):
            try:
                self.send_due()
            except Exception as error:  # the next round tries again
                log.error("feedback.fault", exc_info=error)

    def send_due(self) -> int:
        """Bring to Dify what is due; how many it took."""
        if not self.database.read(lambda db: _any_due(db, self.clock())):
            return 0
        due = self.database.write(lambda db: _take_due(db, self.clock()))
        return sum(self._send(one) for one in due)

    def _send(self, due: _Due) -> bool:
        account = self.accounts.get(due.account)
        if account is None:
            self._failed(due, "its account was removed", retry=False)
            return False
        try:
            self.dify.feedback(
                account, due.dify_message, user=due.asker, rating=due.rating, content=due.reason
            )
        except DifyError as error:
            log.warning("feedback.refused", message=due.message, code=error.code)
            self._failed(due, error.code, retry=error.retry)
            return False
        self._done(due, "sent", "feedback.sent", rating=due.rating)
        return True

    def _failed(self, due: _Due, reason: str, *, retry: bool) -> None:
        if not retry or due.attempts + 1 >= self.attempts:
            self._done(due, "failed", "feedback.failed", reason=reason)
            return
        pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**due.attempts)
        values = {"attempts": due.attempts + 1, "next_at": self.clock() + pause}
        self.database.write(lambda db: _update(db, due, **values))

    def _done(self, due: _Due, state: str, event: str, **data: str) -> None:
        def work(db: sa.Connection) -> None:
            _update(db, due, state=state, attempts=due.attempts + 1)
            note(db, due.message, event, **data)

        self.database.write(work)
        self.counter.labels(state).inc()


def _keep(db: sa.Connection, job: Job, thumb: Thumb, now: float) -> bool:
    answer = db.execute(
        sa.select(messages.c.id, messages.c.dify_message).where(
            messages.c.stream_id == thumb.answer,
            messages.c.account == job.account,
            messages.c.chat == job.chat,
            sa.true() if job.chat else messages.c.user == job.user,
        )
    ).one_or_none()
    if answer is None or not answer.dify_message:
        return False
    same = sa.and_(feedback.c.message_id == answer.id, feedback.c.user == job.user)
    db.execute(sa.delete(feedback).where(same, feedback.c.state == "pending"))
    db.execute(
        sa.insert(feedback).values(
            message_id=answer.id,
            user=job.user,
            rating=thumb.rating,
            reason=thumb.reason,
            at=now,
            state="pending",
        )
    )
    note(db, answer.id, "feedback", rating=thumb.rating)
    return True


def _any_due(db: sa.Connection, now: float) -> bool:
    """A cheap question before the write that taking is."""
    waits = sa.and_(feedback.c.state == "pending", feedback.c.next_at <= now)
    return db.scalar(sa.select(feedback.c.id).where(waits).limit(1)) is not None


def _take_due(db: sa.Connection, now: float) -> list[_Due]:
    """What is due, put off for a while, so that no other worker sends it too."""
    columns = (feedback.c.id, messages.c.id.label("message"), messages.c.account)
    more = (messages.c.dify_message, messages.c.user.label("asker"))
    own = (feedback.c.rating, feedback.c.reason, feedback.c.attempts)
    rows = db.execute(
        sa.select(*columns, *more, *own)
        .join(messages, messages.c.id == feedback.c.message_id)
        .where(feedback.c.state == "pending", feedback.c.next_at <= now)
        .order_by(feedback.c.id)
        .limit(AT_ONCE)
        .with_for_update(skip_locked=True, of=feedback)
    ).all()
    ids = [row.id for row in rows]
    if ids:
        later = sa.update(feedback).where(feedback.c.id.in_(ids))
        db.execute(later.values(next_at=now + SENDING_S))
    return [_Due(**row._mapping) for row in rows]


def _update(db: sa.Connection, due: _Due, **values: object) -> None:
    db.execute(sa.update(feedback).where(feedback.c.id == due.id).values(**values))
