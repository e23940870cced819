"""Hosting one Dify package as the plugin daemon does: a process of its own, JSON lines over stdin and stdout."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from playground.processes import follow_parent

START_S = 60.0
RESTART_PAUSE_S = 0.5
# The daemon kills a plugin that writes a longer line.
LINE_LIMIT = 5 * 1024 * 1024


class PluginError(Exception):
    """The plugin answered with an error; `kind` is the class it named."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Plugin:
    """A package's process, started again when it dies. Calls are sessions: each ends with its answer."""

    def __init__(self, root: Path, log: Path) -> None:
        self._root = root
        self._log = log
        self._sessions: dict[str, queue.SimpleQueue[dict[str, Any]]] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._write_lock = threading.Lock()
        self._ready = threading.Event()
        self._stopped = threading.Event()
        # The thread that starts a child must live on: the kernel's parent-death signal goes by thread.
        self._keeper = threading.Thread(target=self._keep, name=f"plugin-{root.name}", daemon=True)
        self._keeper.start()

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def wait_ready(self, timeout_s: float = START_S) -> None:
        """Until the package has said its manifest. Raises `PluginError`."""
        if not self._ready.wait(timeout_s):
            raise PluginError("NotStarted", f"The package in {self._root.name} did not start.")

    def call(
        self, data: Mapping[str, Any], *, timeout_s: float, **session: str | None
    ) -> Iterator[dict[str, Any]]:
        """One request; yields what it streams. Closing the iterator ends the session, late answers are dropped."""
        self.wait_ready()
        session_id = uuid.uuid4().hex
        answers: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._sessions[session_id] = answers
        deadline = time.monotonic() + timeout_s
        try:
            self._send({"session_id": session_id, "event": "request", **session, "data": data})
            while True:
                answer = _next(answers, deadline)
                match answer["type"]:
                    case "stream":
                        yield answer["data"]
                    case "end":
                        return
                    case "error":
                        raise _error(answer["data"])
        finally:
            self._sessions.pop(session_id, None)

    def stop(self) -> None:
        """End it for good: the SDK spins when its stdin closes, so it is killed."""
        self._stopped.set()
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
        self._keeper.join(10)

    def _keep(self) -> None:
        while not self._stopped.is_set():
            self._run_once()
            self._ready.clear()
            for answers in list(self._sessions.values()):
                answers.put(
                    {
                        "type": "error",
                        "data": {"error_type": "PluginExited", "message": "The plugin died."},
                    }
                )
            self._stopped.wait(RESTART_PAUSE_S)

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
        while line := process.stdout.readline(LINE_LIMIT + 1):
            if len(line) > LINE_LIMIT:
                process.kill()
                return
            if line.strip():
                self._take(line)

    def _take(self, line: bytes) -> None:
        """The first line is the manifest; then events, of which sessions' answers matter here."""
        try:
            message = json.loads(line)
        except ValueError:
            return  # a stray print; the daemon logs it too
        if "event" not in message:
            self._ready.set()
        elif message["event"] == "session":
            answers = self._sessions.get(message["session_id"])
            if answers is not None:
                answers.put(message["data"])

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


def _next(answers: "queue.SimpleQueue[dict[str, Any]]", deadline: float) -> dict[str, Any]:
    try:
        return answers.get(timeout=max(0.0, deadline - time.monotonic()))
    except queue.Empty:
        raise PluginError("Timeout", "The plugin did not answer in time.") from None


def _error(data: Mapping[str, Any]) -> PluginError:
    """The daemon hands on class and description; the traceback in `args` is not for users."""
    arguments = data.get("args") or {}
    message = arguments.get("description") or data.get("message") or ""
    return PluginError(str(data.get("error_type", "Error")), str(message))
