"""Deleting: what is older than it may be kept, a little at a time in the worker, and all of one person on demand."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
import structlog

from tool_server.channel.schema import (
    attachments,
    conversations,
    deliveries,
    events,
    feedback,
    given,
    kf_sessions,
    messages,
    nonces,
    pages,
    people,
    pictures,
    tickets,
    usage,
)
from tool_server.database import Database
from tool_server.settings import Settings

log = structlog.get_logger()

DAY_S = 86400.0
# Tables whose rows belong to one message; they go with it, in this order.
CHILDREN = (deliveries, tickets, events, pages, feedback, attachments, pictures, given)
# Tables with rows of one person, by account and user.
PERSONAL = (people, usage, kf_sessions)
# When there is nothing old left, it is looked for again after this time.
REST_S = 600.0
# The shell of an erased message outlives every delivery of it by far.
SHELL_S = 7 * DAY_S


class Eraser:
    """One batch a call while there is something old, then a rest; several workers do not mind each other."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._keep_s = settings.channel_keep_days * DAY_S
        self._batch = settings.channel_erase_batch
        self._next_at = 0.0

    def sweep(self) -> None:
        """Called each second by the worker."""
        now = time.time()
        if now < self._next_at:
            return
        erased = self._database.write(lambda db: self._erase_old(db, now))
        if erased < self._batch:
            self._next_at = now + REST_S
            self._database.write(lambda db: _erase_expired(db, now, self._keep_s))
        if erased:
            log.info("messages.erased", messages=erased)

    def _erase_old(self, db: sa.Connection, now: float) -> int:
        old = sa.or_(
            messages.c.received_at < now - self._keep_s,
            sa.and_(messages.c.state == "erased", messages.c.received_at < now - SHELL_S),
        )
        found = sa.select(messages.c.id).where(old, messages.c.waits_for.is_(None))
        oldest = found.order_by(messages.c.received_at).limit(self._batch)
        numbers = list(db.scalars(oldest.with_for_update(skip_locked=True)))
        _delete_children(db, numbers)
        db.execute(sa.delete(messages).where(messages.c.id.in_(numbers)))
        return len(numbers)


def forget(database: Database, account: str, user: str) -> dict[str, int]:
    """Erase a person: messages, answers, pieces, tickets, conversations, pages, thumbs, counts. Rows by table.

    Of each message its number, times and the digest of its dedupe key stay for a week, so that a late delivery is not
    answered as if it were new. What a worker has in hand is taken from it: it loses its lease.
    """

    def work(db: sa.Connection) -> dict[str, int]:
        mine = sa.and_(messages.c.account == account, messages.c.user == user)
        # Locked, so that a worker that has one in hand gives no new rows to it.
        locked = sa.select(messages.c.id).where(mine).with_for_update()
        rows = {"messages": len(db.scalars(locked).all())}
        rows |= _delete_children(db, sa.select(messages.c.id).where(mine))
        keys = sa.select(messages.c.conversation).where(mine)
        told = sa.delete(conversations).where(conversations.c.key.in_(keys))
        rows["conversations"] = db.execute(told).rowcount
        for table in PERSONAL:
            gone = sa.delete(table).where(table.c.account == account, table.c.user == user)
            rows[table.name] = db.execute(gone).rowcount
        db.execute(sa.update(messages).where(mine).values(**_SHELL))
        return rows

    return database.write(work)


def _delete_children(
    db: sa.Connection, numbers: list[int] | sa.Select[tuple[int]]
) -> dict[str, int]:
    """The rows that belong to these messages; how many, by table."""
    return {
        table.name: db.execute(sa.delete(table).where(table.c.message_id.in_(numbers))).rowcount
        for table in CHILDREN
    }


def _erase_expired(db: sa.Connection, now: float, keep_s: float) -> None:
    """What ends by itself, and what nobody has used for as long as messages are kept."""
    day = (datetime.fromtimestamp(now, UTC) - timedelta(seconds=keep_s)).date().isoformat()
    for table, old in (
        (tickets, tickets.c.expires_at < now - DAY_S),
        (pages, pages.c.expires_at < now),
        (pictures, pictures.c.expires_at < now),
        (nonces, nonces.c.expires_at < now),
        (conversations, conversations.c.last_at < now - keep_s),
        (usage, usage.c.day < day),
        (people, people.c.fetched_at < now - keep_s),
        (kf_sessions, kf_sessions.c.changed_at < now - keep_s),
    ):
        db.execute(sa.delete(table).where(old))


_SHELL: dict[str, Any] = {
    "state": "erased",
    "fence": messages.c.fence + 1,
    "owner": "",
    "reply": None,
    "mode": "push",
    **dict.fromkeys(("media",), "[]"),
    **dict.fromkeys(
        ("platform_id", "conversation", "user", "chat", "question", "data", "quote", "handle"), ""
    ),
    **dict.fromkeys(("stream_id", "stream", "ticket", "answer", "fault", "event"), ""),
    **dict.fromkeys(("dify_task", "dify_message", "dify_conversation", "dify_run"), ""),
}
