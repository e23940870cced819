"""Starting, watching and ending the playground's processes; called by `stage`."""

import ctypes
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

STOP_S = 15.0
PR_SET_PDEATHSIG = 1


class StartError(Exception):
    """A process did not come up; the sentence names it and its log."""


class Process:
    """One child: its output goes to `log`, its `ready {json}` line on stdout says where it listens."""

    def __init__(
        self, name: str, arguments: Sequence[str], *, log: Path, environ: Mapping[str, str]
    ) -> None:
        self.name = name
        self.log = log
        self._ready: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._log_file = log.open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            stdout=subprocess.PIPE,
            stderr=self._log_file,
            env=dict(environ),
            start_new_session=True,
            preexec_fn=partial(follow_parent, signal.SIGTERM),
        )
        threading.Thread(target=self._read, name=f"{name}-output", daemon=True).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def running(self) -> bool:
        return self._process.poll() is None

    def ready(self, timeout_s: float) -> dict[str, Any]:
        """What the process said when it began to listen. Raises `StartError`."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and self.running():
            try:
                return self._ready.get(timeout=0.1)
            except queue.Empty:
                continue
        raise StartError(f"The {self.name} did not start; its log is {self.log}.\n{self.tail()}")

    def tail(self, lines: int = 12) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def stop(self) -> None:
        if self.running():
            self._process.terminate()
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()
        self._log_file.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                if line.startswith(b"ready "):
                    self._ready.put(json.loads(line.removeprefix(b"ready ")))
                else:
                    self._log_file.write(line)
                    self._log_file.flush()


def free_ports(wanted: Sequence[int]) -> list[int]:
    """Each wanted port if nobody listens there, else any free one; all different.

    They stay bound until this process ends, so that the system gives them to nobody else before a server listens there.
    """
    return [_hold(socket.socket(), port) for port in wanted]


def _hold(probe: socket.socket, port: int) -> int:
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        probe.bind(("127.0.0.1", port))
    except OSError:
        probe.bind(("127.0.0.1", 0))
    found = int(probe.getsockname()[1])
    probe.detach()
    return found


def environment(**changes: str) -> dict[str, str]:
    """This process's environment without settings of a real installation, and with `changes`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SHENQIAO_")}
    return kept | changes


def follow_parent(number: signal.Signals) -> None:
    """In a child, before it starts: be sent `number` when the thread that made it ends, even by kill -9."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(number))
