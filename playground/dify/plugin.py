"""Hosting one Dify package as the plugin daemon does: a process of its own, JSON lines over stdin and stdout."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from playground.dify.session import Expired, Reverse, Session, no_reverse
from playground.processes import follow_parent

START_S = 60.0
RESTART_PAUSE_S = 0.5
NOBODY: Mapping[str, str] = MappingProxyType({})  # a session that Dify says nothing of


@dataclass(frozen=True)
class Rules:
    """The daemon's limits of a package's process."""

    line: int = (
        5 * 1024 * 1024
    )  # bytes; a longer one ends the process (PLUGIN_RUNTIME_MAX_BUFFER_SIZE)
    silence_s: float = 120.0  # without a heartbeat or anything else; then the process is ended
    look_s: float = 30.0  # how often that is looked at
    chunks: int = 128  # of an endpoint's body that may wait for its reader; more are dropped
    # PLUGIN_MAX_EXECUTION_TIMEOUT; the daemon counts from the first byte of a body, here it is from the request on.
    execution_s: float = 600.0


RULES = Rules()


class PluginError(Exception):
    """The package answered with an error; `kind` is the class it named, `raw` all that it said of it."""

    def __init__(self, kind: str, message: str, raw: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.raw = dict(raw or {})


class Plugin:
    """A package's process, started again when it dies. Calls are sessions: each ends with its answer."""

    def __init__(
        self, root: Path, log: Path, *, rules: Rules = RULES, reverse: Reverse = no_reverse
    ) -> None:
        self.rules = rules
        self._root = root
        self._log = log
        self._reverse = reverse
        self._sessions: dict[str, Session] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._heard_at = 0.0
        self._write_lock = threading.Lock()
        self._ready = threading.Event()
        self._stopped = threading.Event()
        # The thread that starts a child must live on: the kernel's parent-death signal goes by thread.
        self._keeper = threading.Thread(target=self._keep, name=f"plugin-{root.name}", daemon=True)
        self._keeper.start()
        threading.Thread(target=self._listen, name=f"listen-{root.name}", daemon=True).start()

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def wait_ready(self, timeout_s: float = START_S) -> None:
        """Until the package has said its manifest. Raises `PluginError`."""
        if not self._ready.wait(timeout_s):
            raise PluginError("NotStarted", f"The package in {self._root.name} did not start.")

    def call(
        self,
        data: Mapping[str, Any],
        *,
        timeout_s: float,
        gone: Callable[[], bool] = lambda: False,
        room: int = 0,
        session: Mapping[str, str] = NOBODY,
    ) -> Generator[dict[str, Any], None, None]:
        """One request; yields what it streams. Closing it ends the session, and so does a client that is `gone`.

        A process that dies tells nobody: its calls end with their time. Raises `PluginError`.
        """
        self.wait_ready()
        live = Session(uuid.uuid4().hex, self._answer, self._reverse, room)
        self._sessions[live.name] = live
        deadline = time.monotonic() + timeout_s
        try:
            self._send({"session_id": live.name, "event": "request", **session, "data": data})
            while (answer := live.next(deadline, gone)) is not None:
                match answer["type"]:
                    case "stream":
                        yield answer["data"]
                    case "end":
                        return
                    case "error":
                        raise _error(answer["data"])
        except Expired:
            raise PluginError("Timeout", "The plugin did not answer in time.") from None
        finally:
            self._sessions.pop(live.name, None)
            live.end()

    def stop(self) -> None:
        """End it for good: the SDK spins when its stdin closes, so it is killed."""
        self._stopped.set()
        self._kill()
        self._keeper.join(10)

    def _keep(self) -> None:
        while not self._stopped.is_set():
            self._run_once()
            self._ready.clear()
            self._stopped.wait(RESTART_PAUSE_S)

    def _listen(self) -> None:
        """End a process that says nothing: its loop is held up by something."""
        while not self._stopped.wait(self.rules.look_s):
            silent_s = time.monotonic() - self._heard_at
            if self._ready.is_set() and silent_s > self.rules.silence_s:
                self._kill()

    def _kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()

    def _run_once(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "main"],
                cwd=self._root,
                env={**os.environ, "INSTALL_METHOD": "local", "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                preexec_fn=partial(follow_parent, signal.SIGKILL),
            )
            with self._process:
                self._read(self._process)

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        while line := process.stdout.readline(self.rules.line + 1):
            self._heard_at = time.monotonic()
            if len(line) > self.rules.line:
                process.kill()
                return
            if line.strip():
                self._take(line)

    def _take(self, line: bytes) -> None:
        """The first line is the manifest; then events, of which sessions' messages matter here."""
        try:
            message = json.loads(line)
        except ValueError:
            return  # a stray print; the daemon logs it too
        if "event" not in message:
            self._ready.set()
        elif message["event"] == "session":
            live = self._sessions.get(message["session_id"])
            if live is not None:
                live.take(message["data"])

    def _answer(self, message: Mapping[str, Any]) -> None:
        """To a process that may have gone meanwhile."""
        with contextlib.suppress(PluginError):
            self._send(message)

    def _send(self, message: Mapping[str, Any]) -> None:
        line = json.dumps(message, ensure_ascii=False).encode() + b"\n"
        process = self._process
        if process is None or process.stdin is None:
            raise PluginError("PluginExited", "The plugin died.")
        try:
            with self._write_lock:
                process.stdin.write(line)
                process.stdin.flush()
        except (BrokenPipeError, ValueError):
            raise PluginError("PluginExited", "The plugin died.") from None


def _error(data: Mapping[str, Any]) -> PluginError:
    """Dify shows class and description; the traceback in `args` travels to Dify as well, and endpoints show it."""
    arguments = data.get("args") or {}
    message = arguments.get("description") or data.get("message") or ""
    return PluginError(str(data.get("error_type", "Error")), str(message), data)
