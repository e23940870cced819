"""How old the access tokens of the accounts are, for the worker's metrics."""

import time
from collections.abc import Mapping

import sqlalchemy as sa

from tool_server.channel.account import Account, WeComApp, WeComKf
from tool_server.channel.schema import platform_tokens
from tool_server.channel.tokens import token_name
from tool_server.database import Database


def token_ages(database: Database, accounts: Mapping[str, Account]) -> dict[str, float]:
    """Seconds since each account's token was fetched; an account without one is not there."""
    names = {
        name: token_name(account)
        for name, account in accounts.items()
        if isinstance(account, WeComApp | WeComKf)
    }
    found = sa.select(platform_tokens.c.name, platform_tokens.c.fetched_at).where(
        platform_tokens.c.name.in_(set(names.values())), platform_tokens.c.sealed != ""
    )
    rows = database.read(lambda db: {row.name: row.fetched_at for row in db.execute(found)})
    now = time.time()
    return {name: now - rows[token] for name, token in names.items() if token in rows}
