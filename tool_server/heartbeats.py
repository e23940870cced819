"""Heartbeats: each process writes its state and metrics to a small file each second; the web process reads them all."""

import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest

PERIOD_S = 1.0
# A process that missed this many periods is taken for dead.
STALE_S = 5 * PERIOD_S


@dataclass(frozen=True)
class Beat:
    """The last word of one process."""

    name: str
    pid: int
    at: float
    state: Mapping[str, Any]
    metrics: str

    def fresh(self, now: float) -> bool:
        return now - self.at < STALE_S


class Heartbeat:
    """A thread that writes `<run_dir>/heartbeats/<name>.json` each second until `stop`."""

    def __init__(
        self,
        run_dir: Path,
        name: str,
        registry: CollectorRegistry,
        state: Callable[[], Mapping[str, Any]] = dict,
    ) -> None:
        self._path = run_dir / "heartbeats" / f"{name}.json"
        self._name = name
        self._registry = registry
        self._state = state
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self.beat()
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()
        self._path.unlink(missing_ok=True)

    def beat(self) -> None:
        """Write one beat now (also called when a state changed that others wait for)."""
        body = {
            "name": self._name,
            "pid": os.getpid(),
            "at": time.time(),
            "state": dict(self._state()),
            "metrics": generate_latest(self._registry).decode(),
        }
        draft = self._path.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
        draft.write_text(json.dumps(body))
        draft.replace(self._path)

    def _run(self) -> None:
        while not self._stopped.wait(PERIOD_S):
            self.beat()


def forget(run_dir: Path, pid: int) -> None:
    """Remove the beats of a process that is known to have ended; nobody need wait until they are stale."""
    for path in (run_dir / "heartbeats").glob("*.json"):
        if any(beat.pid == pid for beat in _load(path)):
            path.unlink(missing_ok=True)


def read(run_dir: Path) -> list[Beat]:
    """All beats on this machine, old ones too: the caller decides what is fresh enough."""
    paths = sorted((run_dir / "heartbeats").glob("*.json"))
    return [beat for path in paths for beat in _load(path)]


def _load(path: Path) -> list[Beat]:
    try:
        return [Beat(**json.loads(path.read_text()))]
    except FileNotFoundError:  # its process ended between the listing and the reading
        return []
