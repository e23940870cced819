"""The web process: Gunicorn's threaded worker around `create_app`, on a socket that the supervisor keeps open."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gunicorn.app.base
from flask import Flask

from tool_server import app, logs
from tool_server.parent import follow_parent
from tool_server.settings import Settings

# Answers in flight may finish after SIGTERM; reasoning answers are long.
GRACEFUL_S = 120
MEMORY_FOLDER = Path("/dev/shm")  # noqa: S108  (no file of ours has a guessable name there)

# Each thread that waits for the interpreter asks for it once an interval: with hundreds of streams that asking alone
# costs a third. Measured, 300 streams of 20 tokens/s: 5 ms 153 us a token, 20 ms 108 us, 50 ms 103 us.
SWITCH_S = 0.02


def main(settings: Settings, descriptor: int | None = None) -> None:
    """Serve until SIGTERM; `descriptor` is a listening socket that outlives this process."""
    logs.configure(settings, "web")
    follow_parent()
    _Gunicorn(settings, descriptor).run()


class _Gunicorn(gunicorn.app.base.BaseApplication):  # type: ignore[misc]  # it has no types
    def __init__(self, settings: Settings, descriptor: int | None) -> None:
        self._settings = settings
        self._descriptor = descriptor
        super().__init__()

    def load_config(self) -> None:
        for name, value in _options(self._settings, self._descriptor).items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        return app.create_app(self._settings)


def _options(settings: Settings, descriptor: int | None) -> Mapping[str, Any]:
    bind = f"{settings.host}:{settings.port}" if descriptor is None else f"fd://{descriptor}"
    return {
        "bind": [bind],
        "workers": 1,
        "worker_class": "gthread",
        "threads": settings.web_threads,
        "worker_tmp_dir": _memory_folder(),
        "graceful_timeout": GRACEFUL_S,
        "timeout": 60,
        "keepalive": 75,
        "loglevel": "warning",
        "control_socket_disable": True,
        "post_fork": _after_fork,
        "reuse_port": False,
    }


def _memory_folder() -> str | None:
    """Gunicorn touches a file each second; in memory it never waits for a disk."""
    return str(MEMORY_FOLDER) if os.access(MEMORY_FOLDER, os.W_OK) else None


def _after_fork(_server: Any, _worker: Any) -> None:
    follow_parent()
    sys.setswitchinterval(SWITCH_S)
