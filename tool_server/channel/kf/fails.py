"""A message that the platform had taken and then failed: sent again, kept for later, or given up; for `page`.

Types: developer.work.weixin.qq.com, document 94670.
"""

import hashlib
import json
import time

import sqlalchemy as sa

from tool_server.channel.kf.items import Failed
from tool_server.channel.ledger import UNFINISHED, conversation_key, note
from tool_server.channel.schema import deliveries, messages

UNKNOWN, OVER_QUOTA = 0, 6
REASONS = {
    1: "the service account was deleted",
    2: "the app was closed",
    4: "48 hours are over",
    5: "the conversation was closed",
    6: "more than 5 messages to one of the customer's",
    8: "the video channel is not bound",
    10: "the customer refuses messages",
    11: "no member of the corp has logged in",
    12: "a kind of message that may not be sent",
    13: "the platform's safety rules",
}
PAUSE_S = 2.0
# The customer's next message makes room at once; without one it is tried now and then.
HELD_S = 3600.0
# A message is answered within 48 hours; the event comes soon after.
KNOWN_S = 3 * 86400.0


def apply(db: sa.Connection, account: str, user: str, failed: Failed, *, attempts: int) -> str:
    """What becomes of the piece: again, held, given up; unknown where no piece of ours has this msgid."""
    piece = _piece(db, account, user, failed.msgid)
    if piece is None:
        return "unknown"
    reason = f"{failed.fail_type} {REASONS.get(failed.fail_type, 'the platform says no more')}"
    note(db, piece.message_id, "piece.failed", ordinal=piece.ordinal, reason=reason)
    if failed.fail_type not in (UNKNOWN, OVER_QUOTA) or piece.attempts >= attempts:
        _give_up(db, piece, reason)
        return "given up"
    pause_s = HELD_S if failed.fail_type == OVER_QUOTA else PAUSE_S
    _again(db, piece, pause_s)
    return "held" if failed.fail_type == OVER_QUOTA else "again"


def release(db: sa.Connection, account: str, user: str, *, before: int) -> None:
    """The customer has written again: what was held for the quota may go."""
    db.execute(
        sa.update(messages)
        .where(
            messages.c.conversation == conversation_key(account, "", user),
            UNFINISHED,
            messages.c.id < before,
            messages.c.state == "answered",
            messages.c.next_at > time.time(),
        )
        .values(next_at=0.0)
    )


def _piece(
    db: sa.Connection, account: str, user: str, msgid: str
) -> sa.Row[tuple[int, int, int, int, str]] | None:
    """By the msgid in its request: the event may come before the call's answer was written down."""
    if not msgid:
        return None
    return db.execute(
        sa.select(
            deliveries.c.id,
            deliveries.c.message_id,
            deliveries.c.ordinal,
            deliveries.c.attempts,
            deliveries.c.body,
        )
        .join(messages, messages.c.id == deliveries.c.message_id)
        .where(
            messages.c.account == account,
            messages.c.user == user,
            messages.c.received_at > time.time() - KNOWN_S,
            deliveries.c.body.contains(f'"msgid":"{msgid}"', autoescape=True),
        )
        .limit(1)
    ).one_or_none()


def _again(
    db: sa.Connection, piece: sa.Row[tuple[int, int, int, int, str]], pause_s: float
) -> None:
    """Pending once more, under a new msgid: the old one is used up. The fence turns away who still sends the rest."""
    body = json.loads(piece.body)
    old = body["request"]["msgid"]
    body["request"]["msgid"] = hashlib.sha256(f"{old}/again".encode()).hexdigest()[: len(old)]
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    db.execute(
        sa.update(deliveries)
        .where(deliveries.c.id == piece.id)
        .values(
            body=text,
            state="pending",
            # It counts although the worker that sent it may not have written it down yet.
            attempts=sa.case((deliveries.c.attempts == 0, 1), else_=deliveries.c.attempts),
        )
    )
    db.execute(
        sa.update(messages)
        .where(messages.c.id == piece.message_id)
        .values(
            state="answered",
            mode="push",
            finished_at=None,
            owner="",
            lease_until=0.0,
            next_at=time.time() + pause_s,
            fence=messages.c.fence + 1,
        )
    )


def _give_up(db: sa.Connection, piece: sa.Row[tuple[int, int, int, int, str]], reason: str) -> None:
    """A dead letter: the message has failed, and so has what of it was still to come."""
    of_it = sa.update(deliveries).where(deliveries.c.message_id == piece.message_id)
    lost = sa.or_(deliveries.c.id == piece.id, deliveries.c.state == "pending")
    db.execute(of_it.where(lost).values(state="failed", error=reason[:200]))
    db.execute(
        sa.update(messages)
        .where(messages.c.id == piece.message_id)
        .values(
            state="failed",
            finished_at=time.time(),
            owner="",
            lease_until=0.0,
            fence=messages.c.fence + 1,
        )
    )
    note(db, piece.message_id, "given.up", reason=reason)
