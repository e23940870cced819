"""What happened to a message, as the ledger knows it: its row, events, pieces, feedback; for routes and `trace`."""

import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from tool_server.channel.schema import deliveries, events, feedback, messages
from tool_server.database import Database

# Messages with one id that are told of; accounts of one corp may share numbers, more is a mistake.
SHOWN = 20
# No texts: whoever asks what became of a message need not read it.
COLUMNS = (
    *("id", "account", "platform_id", "user", "chat", "kind", "event", "state", "mode"),
    *("received_at", "sent_at", "finished_at", "fetched_at", "stopped_at"),
    *("connections", "attempts", "takeovers", "busy", "urgent", "fault", "model_runs"),
    *("owner", "fence", "stream_id", "dify_task", "dify_message", "dify_conversation"),
    "dify_run",
)


def lives(database: Database, platform_id: str, account: str | None = None) -> list[dict[str, Any]]:
    """The life of each message with the platform's id, as JSON; with `account` only that account's."""
    found = sa.select(
        *(messages.c[name] for name in COLUMNS),
        sa.func.length(messages.c.stream).label("stream_characters"),
        sa.func.length(messages.c.answer).label("answer_characters"),
    ).where(messages.c.platform_id == platform_id)
    if account is not None:
        found = found.where(messages.c.account == account)

    def work(db: sa.Connection) -> list[dict[str, Any]]:
        rows = db.execute(found.order_by(messages.c.id).limit(SHOWN)).mappings().all()
        return [_life(db, row) for row in rows]

    return database.read(work)


def _life(db: sa.Connection, row: sa.RowMapping) -> dict[str, Any]:
    return {
        "message": dict(row),
        "events": [
            {"at": event.at, "name": event.name, "data": json.loads(event.data)}
            for event in _of(db, events, row["id"], events.c.id)
        ],
        "pieces": [
            {
                "ordinal": piece.ordinal,
                "state": piece.state,
                "bytes": len(piece.body.encode()),
                "attempts": piece.attempts,
                "platform_id": piece.platform_id,
                "error": piece.error,
                "sent_at": piece.sent_at,
            }
            for piece in _of(db, deliveries, row["id"], deliveries.c.ordinal)
        ],
        "feedback": [
            {"rating": thumb.rating, "at": thumb.at, "state": thumb.state}
            for thumb in _of(db, feedback, row["id"], feedback.c.id)
        ],
    }


def _of(
    db: sa.Connection, table: sa.Table, message_id: int, order: sa.Column[Any]
) -> Sequence[sa.Row[Any]]:
    return db.execute(
        sa.select(table).where(table.c.message_id == message_id).order_by(order)
    ).all()
