"""Many messages of one customer that wait become one question: five answers are allowed to a message; for `page`."""

import sqlalchemy as sa

from tool_server.channel.kf import sessions
from tool_server.channel.ledger import UNFINISHED
from tool_server.channel.schema import messages

# With the one that is answered now and this one, as many as the platform takes.
WAITING = 4
# Longer ones stay apart: an app's question has a bound.
CHARACTERS = 8000


def gather(db: sa.Connection, message_id: int, platform_id: str) -> None:
    """The new message's question begins with those that wait before it, if they are too many to be answered each."""
    new = db.execute(
        sa.select(
            messages.c.conversation, messages.c.kind, messages.c.question, messages.c.busy
        ).where(messages.c.id == message_id)
    ).one()
    if new.kind != "text" or new.busy:
        return
    waiting = db.execute(
        sa.select(messages.c.id, messages.c.question)
        .where(
            messages.c.conversation == new.conversation,
            messages.c.id < message_id,
            UNFINISHED,
            messages.c.state == "received",
            messages.c.kind == "text",
            messages.c.busy == 0,
            ~messages.c.urgent,
        )
        .order_by(messages.c.id)
    ).all()
    question = "\n".join([*(row.question for row in waiting), new.question])
    if len(waiting) < WAITING or len(question) > CHARACTERS:
        return
    for row in waiting:
        sessions.set_aside(db, row.id, f"answered together with {platform_id}")
    db.execute(sa.update(messages).where(messages.c.id == message_id).values(question=question))
