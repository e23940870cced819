"""The key file, `<data_dir>/keys.json`: its shape, how it is read and changed; called by `auth` and `shenqiao key`."""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_serializer,
    model_validator,
)

from tool_server.access import OwnRight
from tool_server.errors import Forbidden
from tool_server.files import replace_file, write_once
from tool_server.settings import SettingsError

type Scope = Literal["model", "knowledge", "editor", "channel", "admin"]
SCOPES: tuple[str, ...] = get_args(Scope.__value__)
FILE = "keys.json"
# What the form of the tools in Dify asks for, beside one key for each scope.
TOOLS: tuple[Scope, ...] = ("knowledge", "model")
DIGEST = "^[0-9a-f]{64}$"


class KeyFileError(SettingsError):
    """The key file cannot be read or written; the text is one sentence that never holds a secret."""


def moment(value: object) -> datetime:
    """A point in time from RFC 3339 text; a date alone means the end of that day (UTC). Raises `ValueError`."""
    if isinstance(value, datetime):
        return value
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        raise ValueError("write 2027-01-31 or 2027-01-31T12:00:00Z") from None
    if re.fullmatch(r"\d{4}-\d\d-\d\d", str(value)):
        return datetime.combine(found, time(23, 59, 59), UTC)
    if found.tzinfo is None:
        raise ValueError("a time needs its zone, like 2027-01-31T12:00:00Z")
    return found


type Moment = Annotated[AwareDatetime, BeforeValidator(moment)]
type Limit = Annotated[int, Field(ge=1, le=1_000_000_000, strict=True)]


class Secret(BaseModel):
    """A secret as text (`key`), which programs can read, or as its SHA-256 (`sha256`), which nobody can use.

    One round of SHA-256 is enough: a slow hash protects passwords because people choose them and they can be guessed.
    A secret of ours is 192 random bits; nobody guesses those, and a slow hash would only cost each request its time.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    key: SecretStr | None = Field(None, min_length=1, repr=False)
    sha256: str | None = Field(None, pattern=DIGEST, repr=False)

    @model_validator(mode="after")
    def _one_of_both(self) -> "Secret":
        if (self.key is None) == (self.sha256 is None):
            raise ValueError("give either key or sha256")
        return self

    @field_serializer("key")
    def _write(self, key: SecretStr | None) -> str | None:
        return None if key is None else key.get_secret_value()

    def digest(self) -> str:
        """SHA-256 of the secret, in hexadecimal digits."""
        return self.sha256 or digest(self.key.get_secret_value() if self.key else "")


class Previous(Secret):
    """A secret that was replaced and is still good for a while."""

    until: Moment


class Key(Secret):
    """One key: a name for log and metrics, its secret, what it opens, and how much of it."""

    name: str = Field(min_length=1, max_length=128)
    scopes: tuple[Scope, ...] = Field(min_length=1)
    created: Moment | None = None
    expires: Moment | None = None
    disabled: bool = False
    models: tuple[str, ...] | None = Field(None, min_length=1)
    max_running: Limit | None = None
    requests_per_minute: Limit | None = None
    tokens_per_minute: Limit | None = None
    # What it sees of the knowledge without a ticket, besides what is public.
    rights: tuple[OwnRight, ...] = Field((), max_length=1000)
    previous: tuple[Previous, ...] = ()

    def state(self, now: float) -> Literal["enabled", "disabled", "expired"]:
        """What it is worth at `now`, in seconds since 1970."""
        if self.disabled:
            return "disabled"
        return "expired" if self.expires and self.expires.timestamp() <= now else "enabled"

    def may_use(self, model: str) -> bool:
        return self.models is None or model in self.models

    def require_model(self, model: str) -> None:
        """Raises `Forbidden` when this key may not use `model`."""
        if not self.may_use(model):
            raise Forbidden(
                f"This key may not use the model {model[:64]!r}.",
                code="model_not_allowed",
                param="model",
            )


class KeyFile(BaseModel):
    """The whole file."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    keys: tuple[Key, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _no_doubles(self) -> "KeyFile":
        digests = [d for key in self.keys for d in (key, *key.previous)]
        if len({key.name for key in self.keys}) < len(self.keys):
            raise ValueError("two keys have the same name")
        if len({secret.digest() for secret in digests}) < len(digests):
            raise ValueError("two keys have the same secret")
        return self


def read(path: Path) -> tuple[Key, ...]:
    """All keys. Raises `KeyFileError` naming what is wrong."""
    try:
        return KeyFile.model_validate_json(path.read_bytes()).keys
    except OSError as error:
        raise KeyFileError(f"{path.name} cannot be read: {error.strerror}.") from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise KeyFileError(f"{path.name}: {place}: {first['msg']}.".replace(": : ", ": ")) from None


def edit(path: Path, change: Callable[[tuple[Key, ...]], tuple[Key, ...]]) -> None:
    """Put `change` of the keys in their place; another writer waits. Raises `KeyFileError`, or what `change` raises."""
    with _alone(path):
        file = KeyFile(keys=change(read(path)))
        entries = file.model_dump(mode="json", exclude_defaults=True, exclude_none=True)["keys"]
        body = {"keys": [{"name": entry["name"]} | entry for entry in entries]}  # the name first
        try:
            replace_file(path, (json.dumps(body, indent=2, ensure_ascii=False) + "\n").encode())
        except OSError as error:
            raise KeyFileError(f"{path.name} cannot be written: {error.strerror}.") from None


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One writer at a time, of all processes. The folder is locked: the file itself is replaced at each change."""
    try:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise KeyFileError(f"{path.name} cannot be locked: {error.strerror}.") from None
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def make(path: Path) -> None:
    """Write a first key file; of several processes that start at once the first one wins.

    These keys stand in it as text: an administrator copies them from there, and our own processes read them.
    """
    scopes = {scope: (scope,) for scope in SCOPES} | {"tools": TOOLS}
    keys = [{"name": name, "key": new_secret(), "scopes": opens} for name, opens in scopes.items()]
    write_once(path, json.dumps({"keys": keys}, indent=2).encode())


def new_secret() -> str:
    """192 random bits."""
    return f"sq-{secrets.token_urlsafe(24)}"


def digest(secret: str) -> str:
    """SHA-256, in hexadecimal digits."""
    return hashlib.sha256(secret.encode()).hexdigest()
