"""WeChat accounts of this installation: what an administrator entered, secrets sealed; read for every callback."""

import contextlib
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa
from pydantic import SecretStr, ValidationError

from tool_server.channel.account import (
    Account,
    WeComApp,
    WeComKf,
    app_of,
    parse_account,
    secret_fields,
)
from tool_server.channel.schema import accounts, address_checks
from tool_server.channel.vault import Vault, VaultError
from tool_server.database import Database
from tool_server.errors import BadRequest, Forbidden, NotFound
from tool_server.prepared import Prepared

ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
# Taken by the routes below `/channel`.
RESERVED = ("accounts", "answers", "login")


@dataclass(frozen=True)
class Edition:
    """Which state of an account this is; another one after each change, also after it was removed and made again."""

    version: int
    updated_at: float


# Asked with every callback.
_EDITION = Prepared(
    sa.select(accounts.c.version, accounts.c.updated_at).where(
        accounts.c.id == sa.bindparam("name")
    )
)


class Accounts:
    """The account table. Reads see a change of any process at once: the edition is asked each time."""

    def __init__(self, database: Database, vault: Vault, dify_hosts: str = "") -> None:
        self._database = database
        self._vault = vault
        self._hosts = {host.strip() for host in dify_hosts.split(",") if host.strip()}
        self._cache: dict[str, tuple[Edition, Account]] = {}

    def get(self, name: str) -> Account | None:
        """The account called `name`, or None."""
        cached = self._cache.get(name)
        found = self._database.read(lambda db: _EDITION.row(db, {"name": name}))
        if found is not None and cached is not None and cached[0] == Edition(*found):
            return cached[1]
        return self._read(name) if found is not None else None

    def _read(self, name: str) -> Account | None:
        """The account as it stands now; whoever asks next finds it in the cache."""
        row = self._database.read(
            lambda db: db.execute(sa.select(accounts).where(accounts.c.id == name)).one_or_none()
        )
        if row is None:
            return None
        account = self._load(row.config)
        self._cache[name] = (Edition(row.version, row.updated_at), account)
        return account

    def names(self) -> list[str]:
        return list(self.editions())

    def editions(self) -> dict[str, Edition]:
        """All accounts, each with its state: whoever holds something of an account compares."""
        columns = (accounts.c.id, accounts.c.version, accounts.c.updated_at)
        found = sa.select(*columns).order_by(accounts.c.id)
        rows = self._database.read(lambda db: db.execute(found).all())
        return {row.id: Edition(row.version, row.updated_at) for row in rows}

    def names_of(self, surface: str) -> list[str]:
        """Names of the accounts of one surface, in order."""
        found = sa.select(accounts.c.id).where(accounts.c.surface == surface)
        return self._database.read(lambda db: list(db.scalars(found.order_by(accounts.c.id))))

    def everything(self) -> dict[str, Account]:
        """All accounts that can be read, by name; what another key sealed is left out, it must be entered again."""
        found: dict[str, Account] = {}
        for name in self.names():
            with contextlib.suppress(VaultError, ValidationError):
                if (account := self.get(name)) is not None:
                    found[name] = account
        return found

    def of_corp(self, corp_id: str) -> list[str]:
        """Names of the accounts of one corp."""
        return [name for name, one in self.everything().items() if _corp(one) == corp_id]

    def from_file(self) -> list[str]:
        """Names of the accounts that the accounts file keeps."""
        found = sa.select(accounts.c.id).where(accounts.c.from_file).order_by(accounts.c.id)
        return self._database.read(lambda db: list(db.scalars(found)))

    def save(self, name: str, account: Account, *, from_file: bool = False) -> None:
        """Create or replace; raises `BadRequest` for what is not possible, `Forbidden` where a file keeps it."""
        self._check(name, account)
        config = self._dump(account)

        def work(db: sa.Connection) -> None:
            before = db.execute(sa.select(accounts).where(accounts.c.id == name)).one_or_none()
            if before is not None and not from_file:
                _refuse_if_kept(before)
            values: dict[str, Any] = {
                "surface": account.surface,
                "config": config,
                "version": before.version + 1 if before else 1,
                "updated_at": time.time(),
                "from_file": from_file,
            }
            if before is None:
                db.execute(sa.insert(accounts).values(id=name, **values))
            else:
                db.execute(sa.update(accounts).where(accounts.c.id == name).values(**values))

        self._database.write(work)

    def remove(self, name: str, *, from_file: bool = False) -> None:
        """Delete; raises `NotFound`, and `Forbidden` where a file keeps it."""

        def work(db: sa.Connection) -> None:
            row = db.execute(sa.select(accounts).where(accounts.c.id == name)).one_or_none()
            if row is None:
                raise NotFound(f"There is no account {name}.")
            if not from_file:
                _refuse_if_kept(row)
            db.execute(sa.delete(address_checks).where(address_checks.c.account == name))
            db.execute(sa.delete(accounts).where(accounts.c.id == name))

        self._database.write(work)
        self._cache.pop(name, None)

    def reseal(self) -> int:
        """Seal all accounts anew, with the vault's newest key; how many. They stay as they are."""

        def work(db: sa.Connection) -> int:
            rows = db.execute(sa.select(accounts.c.id, accounts.c.config)).all()
            for row in rows:
                config = self._vault.seal(self._vault.unseal(row.config))
                same = (accounts.c.id == row.id, accounts.c.config == row.config)
                db.execute(sa.update(accounts).where(*same).values(config=config))
            return len(rows)

        return self._database.write(work)

    def _check(self, name: str, account: Account) -> None:
        if not ID.fullmatch(name) or name in RESERVED:
            raise BadRequest(
                "An account's name has 1 to 64 small letters, digits, '-' and '_'.", param="account"
            )
        if self._hosts and urlsplit(account.dify_url).netloc not in self._hosts:
            raise BadRequest("This Dify host is not on the server's list.", param="dify_url")
        twin = self._twin(name, account)
        if twin:
            raise BadRequest(
                f"The account {twin} is the same app already; two would answer each other's messages.",
                param="account",
            )

    def _twin(self, name: str, account: Account) -> str:
        """Another account that the platform cannot tell from this one."""
        app = app_of(account)
        others = self.everything().items() if app else ()
        twins = (other for other, known in others if other != name and app_of(known) == app)
        return next(twins, "")

    def _dump(self, account: Account) -> str:
        fields = account.model_dump(mode="json")
        for name, value in account:
            if isinstance(value, SecretStr):
                fields[name] = value.get_secret_value()
        return self._vault.seal(json.dumps(fields, ensure_ascii=False))

    def _load(self, config: str) -> Account:
        return parse_account(json.loads(self._vault.unseal(config)))


def read_account(body: Mapping[str, object], before: Account | None) -> Account:
    """The account in `body`; a secret that is left out, or comes back as "…", stays as it was. Raises `BadRequest`."""
    values = dict(body)
    for name in secret_fields(before) if before is not None else ():
        if values.get(name, "…") == "…":
            values[name] = getattr(before, name).get_secret_value()
    try:
        return parse_account(values)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "body"
        raise BadRequest(f"{field}: {first['msg']}", param=field) from None


def _corp(account: Account) -> str:
    return account.corp_id if isinstance(account, WeComApp | WeComKf) else ""


def _refuse_if_kept(row: sa.Row[Any]) -> None:
    if row.from_file:
        raise Forbidden(
            f"The account {row.id} is kept by the accounts file; change it there.",
        )
