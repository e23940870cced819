"""How a message ends: its answer and mode in one transaction, or its fault and a last sentence; for `work`."""

import time
from collections.abc import Sequence

import sqlalchemy as sa

from tool_server.channel import memory, pictures, replies
from tool_server.channel.job import Job, update
from tool_server.channel.ledger import note
from tool_server.channel.schema import deliveries, messages
from tool_server.channel.surface import Picture

# A connection that has less time than this left would be cut while the reply is on its way.
PASSIVE_MARGIN_S = 0.05


def settle(
    db: sa.Connection,
    job: Job,
    answer: str,
    bodies: Sequence[str],
    reply: bytes | None,
    dify: str,
    shown: Sequence[Picture] = (),
) -> str:
    now = time.time()
    update(db, job, state="answered", answer=answer, takeovers=0)
    if dify:
        memory.keep(db, job.conversation, dify, now)
    note(db, job.id, "answered", characters=len(answer), pieces=len(bodies))
    if _is_asked_for(db, job, now):
        pictures.keep(db, job.id, shown, now)
        note(db, job.id, "mode.stream")
        return "stream"
    if reply is not None and len(bodies) == 1 and not replies.count(db, job.id):
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
        .where(messages.c.id == job.id, messages.c.mode.in_(("open", "stream")))
        .values(mode="push")
    ).rowcount
    if changed:
        note(db, job.id, "mode.push", reason="no connection waits for one piece")
    add_pieces(db, job.id, bodies)
    return "push"


def give_up(db: sa.Connection, job: Job, reason: str, last_words: str) -> bool:
    before = db.scalar(sa.select(messages.c.fault).where(messages.c.id == job.id))
    db.execute(
        sa.update(deliveries)
        .where(deliveries.c.message_id == job.id, deliveries.c.state == "pending")
        .values(state="dropped" if before else "failed", error=reason)
    )
    fault = (before or reason)[:200]
    note(db, job.id, "given.up", reason=reason)
    if before or not last_words:
        update(db, job, state="failed", fault=fault, finished_at=time.time(), owner="")
        return False
    update(db, job, state="answered", mode="push", fault=fault, attempts=0)
    ordinal = sa.select(sa.func.max(deliveries.c.ordinal)).where(deliveries.c.message_id == job.id)
    add_pieces(db, job.id, [last_words], first=(db.scalar(ordinal) or 0) + 1)
    return True


def _is_asked_for(db: sa.Connection, job: Job, now: float) -> bool:
    """Whether the platform comes for the message's stream; then nobody needs to hold it any more."""
    return bool(
        db.execute(
            sa.update(messages)
            .where(
                messages.c.id == job.id,
                messages.c.mode == "stream",
                messages.c.wait_until > now,
            )
            .values(owner="", lease_until=0.0)
        ).rowcount
    )


def add_pieces(
    db: sa.Connection, message_id: int, bodies: Sequence[str], *, first: int = 1
) -> None:
    for ordinal, body in enumerate(bodies, start=first):
        db.execute(
            sa.insert(deliveries).values(
                message_id=message_id, ordinal=ordinal, body=body, state="pending"
            )
        )
