"""Tickets: who asked, for 10 minutes, under 128 random bits; made with each message, read by knowledge."""

import json
import secrets
import time
from dataclasses import asdict

import sqlalchemy as sa

from tool_server.access import Asker
from tool_server.channel.schema import tickets
from tool_server.database import Database


def issue(db: sa.Connection, message_id: int, asker: Asker, *, expires_at: float) -> str:
    """A new ticket, in the transaction of its message."""
    ticket = secrets.token_urlsafe(16)
    db.execute(
        sa.insert(tickets).values(
            ticket=ticket,
            message_id=message_id,
            asker=json.dumps(asdict(asker), ensure_ascii=False),
            expires_at=expires_at,
            app="",
            conversation="",
        )
    )
    return ticket


def extend(db: sa.Connection, ticket: str, expires_at: float) -> None:
    """A message that waited in the queue asks with a ticket that is good again."""
    db.execute(sa.update(tickets).where(tickets.c.ticket == ticket).values(expires_at=expires_at))


def resolve(database: Database, ticket: str, app: str, conversation: str) -> Asker | None:
    """The person behind a ticket, or None where it is unknown, too old, or bound to another app or conversation.

    The first use binds it, so that a ticket that leaked through a model's output opens nothing elsewhere.
    """
    row = database.read(
        lambda db: db.execute(sa.select(tickets).where(tickets.c.ticket == ticket)).one_or_none()
    )
    if row is None or row.expires_at < time.time():
        return None
    if row.app == "" and app:
        bound = database.write(
            lambda db: (
                db.execute(
                    sa.update(tickets)
                    .where(tickets.c.ticket == ticket, tickets.c.app == "")
                    .values(app=app, conversation=conversation)
                ).rowcount
            )
        )
        return _asker(row.asker) if bound else resolve(database, ticket, app, conversation)
    same = (row.app, row.conversation) == (app, conversation)
    return _asker(row.asker) if same else None


def _asker(text: str) -> Asker:
    fields = json.loads(text)
    fields["departments"] = tuple(fields["departments"])
    return Asker(**fields)
