"""Dead letters: messages that could not be answered, with the reason; sending one again; for routes and commands."""

import time
from typing import Any

import sqlalchemy as sa

from tool_server import wake_nodes
from tool_server.channel.ledger import note
from tool_server.channel.schema import deliveries, messages
from tool_server.database import Database
from tool_server.errors import BadRequest, NotFound

# Letters of one answer; the next ones are asked for with `before`.
PAGE = 100
COLUMNS = ("id", "account", "platform_id", "user", "kind", "received_at", "finished_at", "fault")


def dead(
    database: Database, account: str | None = None, before: int | None = None
) -> list[dict[str, Any]]:
    """The newest dead letters, as JSON; `before` is the id of the last one of the page before."""
    found = sa.select(*(messages.c[name] for name in COLUMNS)).where(messages.c.state == "failed")
    if account is not None:
        found = found.where(messages.c.account == account)
    if before is not None:
        found = found.where(messages.c.id < before)
    newest = found.order_by(messages.c.id.desc()).limit(PAGE)
    return database.read(lambda db: [dict(row) for row in db.execute(newest).mappings()])


def send_again(database: Database, account: str, platform_id: str) -> None:
    """Deliver a dead letter once more: the pieces that failed, or from the question on where there are none.

    Raises `NotFound`, and `BadRequest` for a message that is no dead letter.
    """
    database.write(lambda db: _send_again(db, account, platform_id))
    wake_nodes.notify(database, "worker")


def _send_again(db: sa.Connection, account: str, platform_id: str) -> None:
    named = sa.select(messages.c.id, messages.c.state, messages.c.answer).where(
        messages.c.account == account, messages.c.platform_id == platform_id
    )
    row = db.execute(named).one_or_none()
    if row is None:
        raise NotFound("No message of this account has this id.")
    if row.state != "failed":
        raise BadRequest(f"This message is {row.state}; only dead letters are sent again.")
    sent_again = (
        sa.update(deliveries)
        .where(deliveries.c.message_id == row.id, deliveries.c.state == "failed")
        .values(state="pending", attempts=0, error="")
        .returning(deliveries.c.reply)
    )
    failed = list(db.scalars(sent_again))
    pieces = len(failed) if row.answer or "" in failed else 0  # replies alone are no answer
    fresh = {
        "state": "answered" if pieces else "received",
        "mode": "push",
        "fault": "",
        "attempts": 0,
        "takeovers": 0,
        "next_at": 0.0,
        "lease_until": 0.0,
        "owner": "",
        "finished_at": None,
        "turn": time.time(),
    }
    changed = db.execute(
        sa.update(messages)
        .where(messages.c.id == row.id, messages.c.state == "failed")
        .values(**fresh)
    ).rowcount
    if changed:
        note(db, row.id, "sent.again", pieces=pieces)
