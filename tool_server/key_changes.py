"""Changes of the keys as pure functions, for `key_file.edit`; each raises `Mistake` with a sentence for people."""

import time
from datetime import UTC, datetime, timedelta

from pydantic import SecretStr

from tool_server.key_file import Key, Previous, digest

type KeySet = tuple[Key, ...]


class Mistake(Exception):
    """This change is not possible; the text says why."""


def add(keys: KeySet, new: Key) -> KeySet:
    if any(key.name == new.name for key in keys):
        raise Mistake(f"There is a key {new.name} already; rotate it, or choose another name.")
    return (*keys, new)


def rotate(keys: KeySet, name: str, secret: str, *, grace: timedelta, hashed: bool) -> KeySet:
    """A new secret for a key; the old ones stay good for `grace`, or end now.

    A key that stood in the file as text does so again unless it shall be `hashed`: programs read it there.
    """
    old, now = find(keys, name), datetime.now(UTC)
    until = (now + grace).replace(microsecond=0)
    previous = [past for past in old.previous if past.until > now]
    previous.append(Previous(key=old.key, sha256=old.sha256, until=until))
    as_text = old.key is not None and not hashed
    return _with(
        keys,
        old,
        key=SecretStr(secret) if as_text else None,
        sha256=None if as_text else digest(secret),
        previous=tuple(previous) if grace else (),
    )


def disable(keys: KeySet, name: str) -> KeySet:
    return _still_governed(_with(keys, find(keys, name), disabled=True), name, "disabled")


def enable(keys: KeySet, name: str) -> KeySet:
    return _with(keys, find(keys, name), disabled=False)


def remove(keys: KeySet, name: str) -> KeySet:
    gone = find(keys, name)
    left = tuple(key for key in keys if key is not gone)
    return _still_governed(left, name, "removed")


def find(keys: KeySet, name: str) -> Key:
    for key in keys:
        if key.name == name:
            return key
    names = ", ".join(key.name for key in keys)
    raise Mistake(f"There is no key {name[:64]!r}; there are: {names}.")


def _with(keys: KeySet, old: Key, **changes: object) -> KeySet:
    changed = old.model_copy(update=changes)
    return tuple(changed if key is old else key for key in keys)


def _still_governed(keys: KeySet, name: str, change: str) -> KeySet:
    """Somebody must be able to administer over HTTP; refused is only what would take the last one away."""
    now = time.time()
    if not any("admin" in key.scopes and key.state(now) == "enabled" for key in keys):
        raise Mistake(
            f"{name} is the last enabled key of the scope admin and cannot be {change};"
            " add another one first: shenqiao key add NAME --scope admin"
        )
    return keys
