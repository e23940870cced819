"""Tickets: who asked, for 10 minutes, under 128 random bits; made with each message, read by knowledge."""

import hashlib
import json
import secrets
import time
from collections.abc import Collection
from dataclasses import asdict, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from tool_server.access import Asker
from tool_server.channel.schema import given, messages, tickets
from tool_server.database import Database
from tool_server.prepared import Prepared

# A longer id is another system's, whose rights we do not know.
DOCUMENT_CHARACTERS = 64


def new() -> str:
    """128 random bits, that nobody guesses."""
    return secrets.token_urlsafe(16)


def issue(
    db: sa.Connection, message_id: int, asker: Asker, *, expires_at: float, ticket: str = ""
) -> str:
    """A ticket, new unless one is given, in the transaction of its message."""
    ticket = ticket or new()
    _ISSUE.rows(db, fresh(message_id, asker, expires_at=expires_at, ticket=ticket))
    return ticket


def fresh(message_id: int, asker: Asker, *, expires_at: float, ticket: str) -> dict[str, Any]:
    """A ticket that nobody has used."""
    return {
        "ticket": ticket,
        "message_id": message_id,
        "asker": _text(asker),
        "expires_at": expires_at,
        "app": "",
        "conversation": "",
    }


_ISSUE = Prepared(
    sa.insert(tickets).values({name: sa.bindparam(name) for name in tickets.c.keys()})  # noqa: SIM118
)


def fill(db: sa.Connection, ticket: str, asker: Asker) -> None:
    """What the person may see was found out: from now on the ticket opens that."""
    db.execute(sa.update(tickets).where(tickets.c.ticket == ticket).values(asker=_text(asker)))


def withdraw(db: sa.Connection, account: str, user: str | None) -> None:
    """Somebody's departments changed (None: anybody's): tickets on their way open no department any more."""
    found = (
        sa.select(tickets.c.ticket, tickets.c.asker)
        .join(messages, messages.c.id == tickets.c.message_id)
        .where(messages.c.account == account, tickets.c.expires_at > time.time())
    )
    if user is not None:
        found = found.where(messages.c.user == user)
    for row in db.execute(found).all():
        fill(db, row.ticket, replace(_asker(row.asker), departments=()))


def asker_of(db: sa.Connection, ticket: str) -> Asker | None:
    """Whom a ticket stands for at this moment."""
    text = db.scalar(sa.select(tickets.c.asker).where(tickets.c.ticket == ticket))
    return _asker(text) if text else None


def digest(asker: Asker) -> str:
    """Two askers with one digest may see the same; what a conversation remembers was seen under one."""
    return hashlib.sha256(_text(asker).encode()).hexdigest()


def extend(db: sa.Connection, names: Collection[str], expires_at: float) -> None:
    """Messages that waited in the queue ask with tickets that are good again."""
    db.execute(sa.update(tickets).where(tickets.c.ticket.in_(names)).values(expires_at=expires_at))


def renew(db: sa.Connection, ticket: str, *, expires_at: float) -> str:
    """Another ticket for the same message and asker, not used anywhere yet."""
    old = db.execute(sa.select(tickets).where(tickets.c.ticket == ticket)).one()
    return issue(db, old.message_id, _asker(old.asker), expires_at=expires_at)


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


def _text(asker: Asker) -> str:
    fields = asdict(asker) | {"departments": sorted(asker.departments)}
    return json.dumps(fields, ensure_ascii=False)


def note_given(
    database: Database, ticket: str, documents: Collection[str], *, closed: bool
) -> None:
    """Passages of these documents are given out under this ticket; `closed`: not everybody may see them all.

    Then the answer is for its asker alone; and what may be closed to the asker later is known (`work.Work.given`).
    """
    database.write(lambda db: _note_given(db, ticket, documents, closed))


def _note_given(db: sa.Connection, ticket: str, documents: Collection[str], closed: bool) -> None:
    message = db.scalar(sa.select(tickets.c.message_id).where(tickets.c.ticket == ticket))
    if message is None:
        return
    if closed:
        db.execute(sa.update(messages).where(messages.c.id == message).values(restricted=True))
    insert = postgresql.insert if db.dialect.name == "postgresql" else sqlite.insert
    rows = [
        {"message_id": message, "document": name}
        for name in sorted(set(documents))
        if len(name) <= DOCUMENT_CHARACTERS
    ]
    if rows:
        once = ["message_id", "document"]
        db.execute(insert(given).on_conflict_do_nothing(index_elements=once), rows)


def _asker(text: str) -> Asker:
    fields = json.loads(text)
    fields["departments"] = tuple(fields["departments"])
    return Asker(**fields)
