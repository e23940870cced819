"""Pictures that a finished stream carries itself: kept with the answer, for as long as the platform may come for it.

Written by `ending` with the answer; read for each reply by `streams`, and by `work` for an answer that nobody fetched.
"""

from collections.abc import Sequence

import sqlalchemy as sa

from tool_server.channel.schema import pictures
from tool_server.channel.surface import Picture

# The platform asks for a stream within six minutes of its message; a late delivery may come after that.
KEPT_S = 3600.0


def keep(db: sa.Connection, message_id: int, shown: Sequence[Picture], now: float) -> None:
    """In their order."""
    rows = [
        {
            "message_id": message_id,
            "name": picture.name,
            "url": picture.url,
            "data": picture.data,
            "expires_at": now + KEPT_S,
        }
        for picture in shown
    ]
    if rows:
        db.execute(sa.insert(pictures), rows)


def kept(db: sa.Connection, message_id: int) -> list[Picture]:
    """The pictures of a message's answer; none where it has none, or their time is over."""
    found = sa.select(pictures).where(pictures.c.message_id == message_id)
    rows = db.execute(found.order_by(pictures.c.id)).all()
    return [Picture(row.name, row.url, row.data) for row in rows]
