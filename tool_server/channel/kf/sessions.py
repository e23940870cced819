"""Whether the bot or a human serves a customer: as the pulled events tell it, and as the platform says when asked."""

import json
import time
from collections.abc import Collection

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects import postgresql, sqlite

from tool_server.channel.account import Account, WeComKf
from tool_server.channel.ledger import UNFINISHED, conversation_key, note
from tool_server.channel.schema import deliveries, kf_sessions, messages
from tool_server.channel.surface import Address, Api
from tool_server.channel.wecom_api import SendError
from tool_server.database import Database

log = structlog.get_logger()

# States of a session (94669); in the others the bot serves, or nobody.
POOL, HUMAN = 2, 3
HUMAN_SERVES = "a human serves this customer"


def change(db: sa.Connection, account: str, source: str, user: str, *, human: bool) -> None:
    """Who serves from here on; what waits for an answer of ours is not answered once a human does."""
    insert = postgresql.insert if db.dialect.name == "postgresql" else sqlite.insert
    values = {"human": human, "changed_at": time.time()}
    row = insert(kf_sessions).values(account=account, source=source, user=user, **values)
    key = ["account", "source", "user"]
    db.execute(row.on_conflict_do_update(index_elements=key, set_=values))
    if human:
        for message_id in _unfinished(db, account, source, user):
            set_aside(db, message_id, HUMAN_SERVES)


def human_serves(db: sa.Connection, account: str, source: str, user: str) -> bool:
    """As the events said so far."""
    found = sa.select(kf_sessions.c.human).where(
        kf_sessions.c.account == account, kf_sessions.c.source == source, kf_sessions.c.user == user
    )
    return bool(db.scalar(found))


def served_by_humans(
    database: Database, account: str, source: str, users: Collection[str]
) -> list[str]:
    """Those of `users` whom a human serves as far as we know."""
    found = sa.select(kf_sessions.c.user).where(
        kf_sessions.c.account == account,
        kf_sessions.c.source == source,
        kf_sessions.c.user.in_(users),
        kf_sessions.c.human,
    )
    return database.read(lambda db: list(db.scalars(found)))


def set_aside(db: sa.Connection, message_id: int, reason: str) -> None:
    """A message that gets no answer; the fence turns away whoever works on it."""
    now = time.time()
    db.execute(
        sa.update(messages)
        .where(messages.c.id == message_id)
        .values(
            state="done",
            mode="push",
            finished_at=now,
            owner="",
            lease_until=0.0,
            fence=messages.c.fence + 1,
        )
    )
    db.execute(
        sa.update(deliveries)
        .where(deliveries.c.message_id == message_id, deliveries.c.state == "pending")
        .values(state="failed", error=reason[:200])
    )
    note(db, message_id, "noted", reason=reason)


def silence(api: Api, account: Account, to: Address, *, pool_is_human: bool) -> str:
    """Why nothing may be said to this person now, asked of the platform; empty where there is no reason.

    An answer that cannot be had is no reason: the platform refuses what it does not allow.
    """
    if not isinstance(account, WeComKf):
        return ""
    try:
        state = state_of(api, account, str(json.loads(to.handle)["open_kfid"]), to.user)
    except SendError as error:
        log.warning("session.unknown", code=error.code)
        return ""
    silent = state == HUMAN or (state == POOL and pool_is_human)
    return HUMAN_SERVES if silent else ""


def state_of(api: Api, account: WeComKf, open_kfid: str, user: str) -> int:
    """kf/service_state/get. Raises `SendError`."""
    body = json.dumps({"open_kfid": open_kfid, "external_userid": user})
    state = api.call(account, "/cgi-bin/kf/service_state/get", body).get("service_state")
    return state if isinstance(state, int) else 0


def _unfinished(db: sa.Connection, account: str, source: str, user: str) -> list[int]:
    """Messages of a customer at this service account that are still to be answered."""
    conversation = conversation_key(account, "", user)
    found = sa.select(messages.c.id, messages.c.handle).where(
        messages.c.conversation == conversation, UNFINISHED
    )
    return [
        row.id
        for row in db.execute(found)
        if row.handle and json.loads(row.handle).get("open_kfid") == source
    ]
