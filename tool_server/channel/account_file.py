"""The accounts file (`SHENQIAO_CHANNEL_ACCOUNTS_FILE`): its accounts stand in the table as it says, while it changes.

Followed by the worker. A secret may be `env:NAME` or `file:PATH`, so that the file itself holds none.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import structlog

from tool_server.channel.account import Account
from tool_server.channel.accounts import Accounts, read_account
from tool_server.errors import ApiError

log = structlog.get_logger()

FILE_LIMIT = 4 * 1024 * 1024
SECRET_LIMIT = 4096

type Entries = Mapping[str, Mapping[str, object]]


class BadFile(Exception):
    """The file cannot be used as it is; the sentence names the account and the field, never a value."""


class AccountFile:
    """`follow` brings the table to what the file says; a bad file changes nothing and is logged once."""

    def __init__(
        self, path: Path, accounts: Accounts, environ: Mapping[str, str] = os.environ
    ) -> None:
        self._path = path
        self._accounts = accounts
        self._environ = environ
        self._done: Entries | None = None
        self._fault = ""

    def follow(self) -> None:
        """Read, compare, change what differs. Cheap when nothing did."""
        try:
            entries = self._read()
            if entries == self._done:
                return
            self._apply(entries)
        except BadFile as error:
            self._complain(str(error))
            return
        self._done, self._fault = entries, ""

    def _read(self) -> Entries:
        try:
            body = json.loads(_text(self._path, FILE_LIMIT))
        except (OSError, ValueError):
            raise BadFile("It cannot be read as JSON.") from None
        if not isinstance(body, dict) or not all(isinstance(one, dict) for one in body.values()):
            raise BadFile("It must be one JSON object: names, each with an account's fields.")
        return {name: self._resolve(name, values) for name, values in body.items()}

    def _resolve(self, name: str, values: Mapping[str, object]) -> Mapping[str, object]:
        return {field: self._value(name, field, value) for field, value in values.items()}

    def _value(self, name: str, field: str, value: object) -> object:
        """What a reference stands for; everything else as it is."""
        kind, colon, target = value.partition(":") if isinstance(value, str) else ("", "", "")
        if not colon or kind not in ("env", "file"):
            return value
        if kind == "env":
            if target not in self._environ:
                raise BadFile(f"{name}.{field}: there is no environment variable {target[:64]!r}.")
            return self._environ[target]
        try:
            return _text(self._path.parent / target, SECRET_LIMIT).strip()
        except (OSError, ValueError):
            raise BadFile(f"{name}.{field}: the file that it names cannot be read.") from None

    def _apply(self, entries: Entries) -> None:
        wanted = {name: self._account(name, values) for name, values in entries.items()}
        kept = set(self._accounts.from_file())
        for name in sorted(kept - set(wanted)):
            self._accounts.remove(name, from_file=True)
            log.info("account.removed", account=name, source="file")
        for name, account in wanted.items():
            if name not in kept or self._accounts.get(name) != account:
                self._save(name, account)

    def _account(self, name: str, values: Mapping[str, object]) -> Account:
        try:
            return read_account(values, None)
        except ApiError as error:
            raise BadFile(f"{name}.{error.message}") from None

    def _save(self, name: str, account: Account) -> None:
        try:
            self._accounts.save(name, account, from_file=True)
        except ApiError as error:
            raise BadFile(f"{name}: {error.message}") from None
        log.info("account.saved", account=name, source="file")

    def _complain(self, fault: str) -> None:
        if fault != self._fault:
            log.error("accounts.file_bad", reason=fault)
        self._fault = fault


def _text(path: Path, limit: int) -> str:
    """A file's text. Raises `OSError` or `ValueError`."""
    with path.open("rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ValueError("too large")
    return data.decode()
