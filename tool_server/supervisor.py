"""`shenqiao serve`: starts all processes of one machine, restarts what dies, and takes everything down with itself."""

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from functools import partial

import structlog

from tool_server import heartbeats
from tool_server.model.aux import kinds
from tool_server.parent import follow
from tool_server.settings import Settings

log = structlog.get_logger()

# Connections that wait while a web process is being restarted.
BACKLOG = 1024
FIRST_PAUSE_S = 0.0
LONGEST_PAUSE_S = 15.0
# A process that lived this long starts again at once.
HEALTHY_S = 20.0
STOP_S = 10.0


@dataclass
class Child:
    """One process that must run."""

    name: str
    arguments: tuple[str, ...]
    descriptors: tuple[int, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    pause_s: float = FIRST_PAUSE_S
    start_at: float = field(default=0.0)


# They have no database, and take seconds to import and to load.
ENGINES = ("engine", "aux")


class Supervisor:
    """The children of one machine; `run` returns after SIGTERM or SIGINT."""

    def __init__(self, settings: Settings) -> None:
        self._listener = listen(settings)
        self.address = self._listener.getsockname()
        self._stopping = False
        self._run_dir = settings.run_dir
        self._children = list(_children(settings, self._listener.fileno()))

    def start_engines(self) -> None:
        """Start what loads longest and needs no database, before anything else is made ready."""
        for child in self._children:
            if child.name in ENGINES:
                _start(child, time.monotonic())

    def run(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        try:
            while not self._stopping:
                for child in self._children:
                    self._tend(child, time.monotonic())
                time.sleep(0.02)
        finally:
            self.end()

    def _stop(self, _number: int, _frame: object) -> None:
        self._stopping = True

    def _tend(self, child: Child, now: float) -> None:
        """Start a child whose time has come; take note of one that ended."""
        if child.process is None:
            if now >= child.start_at:
                _start(child, now)
        elif (status := child.process.poll()) is not None:
            heartbeats.forget(self._run_dir, child.process.pid)
            lived = now - child.started_at
            child.pause_s = next_pause(child.pause_s, lived)
            child.start_at = now + child.pause_s
            child.process = None
            log.warning(
                "process.ended",
                child=child.name,
                status=status,
                lived_s=round(lived, 1),
                again_in_s=child.pause_s,
            )

    def end(self) -> None:
        """SIGTERM to all children, SIGKILL to what is still there after a while."""
        running = [child.process for child in self._children if child.process is not None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + STOP_S
        for process in running:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._listener.close()


def next_pause(pause_s: float, lived_s: float) -> float:
    """Seconds before the next start: none after a healthy life, else doubling from half a second."""
    if lived_s >= HEALTHY_S:
        return FIRST_PAUSE_S
    if pause_s == FIRST_PAUSE_S:
        return 0.5 if lived_s < 1 else 0.05
    return min(LONGEST_PAUSE_S, pause_s * 2)


def listen(settings: Settings) -> socket.socket:
    """The web's listening socket; it stays open here, so that no caller is refused while web restarts."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((settings.host, settings.port))
    listener.listen(BACKLOG)
    listener.set_inheritable(True)
    return listener


def _children(settings: Settings, descriptor: int) -> list[Child]:
    children = [Child("web", ("web", "--fd", str(descriptor)), (descriptor,))]
    if settings.model_enabled and settings.model_backend == "engine":
        children.append(Child("engine", ("engine",)))
        if kinds.configured(settings):
            children.append(Child("aux", ("aux",)))
    if settings.channel_enabled:
        children += [Child("worker", ("worker",)) for _ in range(settings.channel_workers)]
    if settings.knowledge_enabled:
        children.append(Child("indexer", ("indexer",)))
    return children


def _start(child: Child, now: float) -> None:
    command = [sys.executable, "-m", "tool_server", *child.arguments]
    child.process = subprocess.Popen(
        command,
        pass_fds=child.descriptors,
        env=os.environ.copy(),
        start_new_session=True,
        preexec_fn=partial(follow, os.getpid()),
    )
    child.started_at = now
    log.info("process.started", child=child.name, child_pid=child.process.pid)
