"""Who may call which part: the keys of one installation, looked up for each request; used by every route.

The file is looked at again while requests come, so that a key is added, rotated or closed without a restart.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog
from flask import g, request
from prometheus_client import CollectorRegistry, Counter

from tool_server import key_file
from tool_server.errors import ApiError, Forbidden, Unauthorized
from tool_server.key_file import SCOPES, Key, KeyFileError
from tool_server.key_use import FILE as USE_FILE
from tool_server.key_use import KeyUse
from tool_server.settings import Settings, SettingsError

__all__ = ["SCOPES", "Key", "Keys"]

log = structlog.get_logger()

# How often the file is looked at, at most: a change holds within this time.
LOOK_S = 1.0

type Stamp = tuple[int, int, int]


class Keys:
    """The keys of `<data_dir>/keys.json`, as the file is now; a broken file leaves the last good keys in force."""

    def __init__(
        self,
        path: Path,
        registry: CollectorRegistry | None = None,
        *,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Reads the file. Raises `KeyFileError` where it is broken: nothing good is known yet."""
        self._path = path
        self._metrics = _Metrics(registry or CollectorRegistry())
        self._now = now
        self._monotonic = monotonic
        self._use = KeyUse(path.with_name(USE_FILE))
        self._looking = threading.Lock()
        self._looked_at = monotonic()
        self._fault = ""
        self._stamp = _stamp(path)
        self._known = _Known.of(key_file.read(path))

    @classmethod
    def load(cls, settings: Settings, registry: CollectorRegistry | None = None) -> "Keys":
        """Read the key file; make it, with one key per scope, where there is none."""
        path = settings.data_dir / key_file.FILE
        if not path.exists():
            key_file.make(path)
        return cls(path, registry)

    def secret(self, scope: str) -> str:
        """The first key in force that opens `scope` and stands in the file as text; for our own processes."""
        now = self._now()
        for key in self._current().keys:
            if scope in key.scopes and key.key is not None and key.state(now) == "enabled":
                return key.key.get_secret_value()
        raise SettingsError(f"{self._path.name} has no enabled key as text for the scope {scope}.")

    def require(self, scope: str) -> Key:
        """The key of the current Flask request, also in `g.key`; raises `Unauthorized` or `Forbidden`."""
        try:
            key = self._given()
            if scope not in key.scopes:
                raise Forbidden(f"This key does not open {scope}.")
        except ApiError as error:
            self._metrics.refused.labels(error.code).inc()
            raise
        g.key = key
        self._metrics.requests.labels(key.name, scope).inc()
        self._use.note(key.name, self._now())
        return key

    def _given(self) -> Key:
        kind, _, given = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer" or not given.strip():
            raise Unauthorized("Send a key: Authorization: Bearer <key>.")
        now = self._now()
        key = self._current().find(given.strip(), now)
        if key is None:
            raise Unauthorized("This key is not known here.")
        if key.state(now) != "enabled":
            raise Unauthorized(f"This key is {key.state(now)}.")
        return key

    def _current(self) -> "_Known":
        """The keys, after a look at the file when it is time for one; who finds another thread looking goes on."""
        if self._monotonic() - self._looked_at >= LOOK_S and self._looking.acquire(blocking=False):
            try:
                self._looked_at = self._monotonic()
                self._look()
            finally:
                self._looking.release()
        return self._known

    def _look(self) -> None:
        """Read a file that changed. One that is broken is read again at each look, but told only once."""
        stamp = _stamp(self._path)
        if stamp == self._stamp and not self._fault:
            return
        try:
            self._known = _Known.of(key_file.read(self._path))
        except KeyFileError as error:
            if (stamp, str(error)) != (self._stamp, self._fault):
                self._metrics.faults.inc()
                log.error("keys.unreadable", reason=str(error), kept=len(self._known.keys))
            self._fault = str(error)
        else:
            self._fault = ""
            log.info("keys.read", keys=len(self._known.keys))
        self._stamp = stamp


@dataclass(frozen=True)
class _Known:
    """The keys of one reading, and their secrets: SHA-256 to the key and the last second it is good for."""

    keys: tuple[Key, ...]
    secrets: Mapping[str, tuple[Key, float]]

    @classmethod
    def of(cls, keys: tuple[Key, ...]) -> "_Known":
        secrets = {key.digest(): (key, float("inf")) for key in keys}
        for key in keys:
            secrets |= {old.digest(): (key, old.until.timestamp()) for old in key.previous}
        return cls(keys, secrets)

    def find(self, given: str, now: float) -> Key | None:
        """By its hash: how long a look-up of a hash takes tells nothing about the secret behind it."""
        key, until = self.secrets.get(key_file.digest(given), (None, 0.0))
        return key if now < until else None


def _stamp(path: Path) -> Stamp | None:
    """Differs whenever the file was written or replaced; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino)


class _Metrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "shenqiao_key_requests_total",
            "Requests by the name of their key and the scope that they needed.",
            ["key", "scope"],
            registry=registry,
        )
        self.refused = Counter(
            "shenqiao_key_refused_total",
            "Requests without a key that opens what they asked for, by error code.",
            ["code"],
            registry=registry,
        )
        self.faults = Counter(
            "shenqiao_key_file_faults_total",
            "Times that the key file was found broken; the last good keys stay in force.",
            registry=registry,
        )
