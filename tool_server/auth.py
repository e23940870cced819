"""Keys of the tool server: who may call which part; made at the first start, read by every route."""

import hmac
import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import request

from tool_server.errors import Forbidden, Unauthorized
from tool_server.files import write_once
from tool_server.settings import Settings

SCOPES = ("model", "knowledge", "channel", "admin")


@dataclass(frozen=True)
class Key:
    """One key: a name for the log, the secret, and what it opens."""

    name: str
    key: str
    scopes: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Key({self.name!r}, {self.scopes!r})"


class Keys:
    """The keys of one installation, in `<data_dir>/keys.json` (mode 0600)."""

    def __init__(self, keys: tuple[Key, ...]) -> None:
        self._keys = keys

    @classmethod
    def load(cls, settings: Settings) -> "Keys":
        """Read the key file; make it, with one key per scope, where there is none."""
        path = settings.data_dir / "keys.json"
        if not path.exists():
            _make(path)
        return cls(tuple(_key(entry) for entry in json.loads(path.read_text())["keys"]))

    def secret(self, scope: str) -> str:
        """The first key that opens `scope`; for our own processes and the command line."""
        return next(key.key for key in self._keys if scope in key.scopes)

    def require(self, scope: str) -> Key:
        """The key of the current Flask request; raises `Unauthorized` or `Forbidden`."""
        kind, _, given = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer" or not given.strip():
            raise Unauthorized("Send a key: Authorization: Bearer <key>.")
        key = self._find(given.strip())
        if key is None:
            raise Unauthorized("This key is not known here.")
        if scope not in key.scopes:
            raise Forbidden(f"This key does not open {scope}.")
        return key

    def _find(self, given: str) -> Key | None:
        found = None
        for key in self._keys:  # all are compared, so that the time tells nothing
            if hmac.compare_digest(key.key.encode(), given.encode()):
                found = key
        return found


def _key(entry: dict[str, Any]) -> Key:
    return Key(str(entry["name"]), str(entry["key"]), tuple(entry["scopes"]))


def _make(path: Path) -> None:
    """Write a new key file; of several processes that start at once the first one wins."""
    keys = [
        {"name": scope, "key": f"sq-{secrets.token_urlsafe(24)}", "scopes": [scope]}
        for scope in SCOPES
    ]
    write_once(path, json.dumps({"keys": keys}, indent=2).encode())
