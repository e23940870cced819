"""When each key was last used, to the minute: written by the web process, shown by `shenqiao key list`."""

import json
import threading
from pathlib import Path

import structlog

log = structlog.get_logger()

FILE = "keys_used.json"
# A key that is in use is written down once in this time: enough to see which keys nobody needs any more.
GRAIN_S = 60.0


class KeyUse:
    """`<data_dir>/keys_used.json`: name of a key to the seconds since 1970 of its last use."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._noted: dict[str, float] = {}
        self._lock = threading.Lock()
        self._failed = False

    def note(self, name: str, now: float) -> None:
        """This key was used; a disk that refuses is logged once and is no reason to refuse a request."""
        if now - self._noted.get(name, 0.0) < GRAIN_S:
            return
        with self._lock:
            self._noted[name] = now
            try:
                self._write(name, now)
            except OSError as error:
                if not self._failed:
                    log.warning("keys.use_not_written", reason=error.strerror)
                self._failed = True

    def _write(self, name: str, now: float) -> None:
        """Two web processes on one folder may lose each other's note; the next minute brings it again."""
        draft = self._path.with_suffix(".draft")
        draft.write_text(json.dumps({**read(self._path), name: now}))
        draft.replace(self._path)


def read(path: Path) -> dict[str, float]:
    """What is known; nothing where there is no such file or it cannot be understood."""
    try:
        found = json.loads(path.read_text())
        return {str(name): float(at) for name, at in found.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
