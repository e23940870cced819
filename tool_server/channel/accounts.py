"""WeChat accounts of this installation: what an administrator entered, secrets sealed; read for every callback."""

import json
import re
import time
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa
from pydantic import SecretStr

from tool_server.channel.account import Account, parse_account
from tool_server.channel.schema import accounts
from tool_server.channel.vault import Vault
from tool_server.database import Database
from tool_server.errors import BadRequest, NotFound

ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
# Taken by the routes below `/channel`.
RESERVED = ("accounts",)


class Accounts:
    """The account table. Reads see a change of any process at once: the version is asked each time."""

    def __init__(self, database: Database, vault: Vault, dify_hosts: str = "") -> None:
        self._database = database
        self._vault = vault
        self._hosts = {host.strip() for host in dify_hosts.split(",") if host.strip()}
        self._cache: dict[str, tuple[int, Account]] = {}

    def get(self, name: str) -> Account | None:
        """The account called `name`, or None."""
        row = self._database.read(
            lambda db: db.execute(
                sa.select(accounts.c.version, accounts.c.config).where(accounts.c.id == name)
            ).one_or_none()
        )
        if row is None:
            return None
        cached = self._cache.get(name)
        if cached is None or cached[0] != row.version:
            cached = (row.version, self._load(row.config))
            self._cache[name] = cached
        return cached[1]

    def names(self) -> list[str]:
        return self._database.read(
            lambda db: list(db.scalars(sa.select(accounts.c.id).order_by(accounts.c.id)))
        )

    def save(self, name: str, account: Account) -> None:
        """Create or replace; raises `BadRequest` for a name or a Dify host that is not possible."""
        if not ID.fullmatch(name) or name in RESERVED:
            raise BadRequest(
                "An account's name has 1 to 64 small letters, digits, '-' and '_'.", param="account"
            )
        if self._hosts and urlsplit(account.dify_url).netloc not in self._hosts:
            raise BadRequest("This Dify host is not on the server's list.", param="dify_url")
        config = self._dump(account)

        def work(db: sa.Connection) -> None:
            version = db.scalar(sa.select(accounts.c.version).where(accounts.c.id == name))
            values: dict[str, Any] = {
                "surface": account.surface,
                "config": config,
                "version": (version or 0) + 1,
                "updated_at": time.time(),
            }
            if version is None:
                db.execute(sa.insert(accounts).values(id=name, **values))
            else:
                db.execute(sa.update(accounts).where(accounts.c.id == name).values(**values))

        self._database.write(work)

    def remove(self, name: str) -> None:
        """Delete; raises `NotFound`."""
        gone = self._database.write(
            lambda db: db.execute(sa.delete(accounts).where(accounts.c.id == name)).rowcount
        )
        if not gone:
            raise NotFound(f"There is no account {name}.")
        self._cache.pop(name, None)

    def _dump(self, account: Account) -> str:
        fields = account.model_dump(mode="json")
        for name, value in account:
            if isinstance(value, SecretStr):
                fields[name] = value.get_secret_value()
        return self._vault.seal(json.dumps(fields, ensure_ascii=False))

    def _load(self, config: str) -> Account:
        return parse_account(json.loads(self._vault.unseal(config)))
