"""The engine process: one Unix socket, a thread to read and one to write for each connection, the loop behind them."""

import contextlib
import os
import queue
import signal
import socket
import threading
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from tool_server import logs
from tool_server.heartbeats import Heartbeat
from tool_server.model.engine.load import load
from tool_server.model.engine.loop import Loop
from tool_server.model.wire import Cancel, Hello, Message, Step, Submit, WireError, encode, read
from tool_server.parent import follow_parent
from tool_server.settings import Settings

log = structlog.get_logger()

WATCH_S = 0.1
# Messages that wait for a client that does not read; with one more it is let go, and never holds up a step.
OUTBOX = 4096


def socket_path(settings: Settings) -> Path:
    return settings.run_dir / "engine.sock"


def main(settings: Settings) -> None:
    """Load, then serve until SIGTERM. Raises `LoadError`."""
    logs.configure(settings, "engine")
    follow_parent()
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    state = _State()
    heartbeat = Heartbeat(settings.run_dir, "engine", state.registry, state.report)
    heartbeat.start()
    with contextlib.suppress(KeyboardInterrupt):
        loop = Loop(load(settings), settings, _deliver)
        state.loop = loop
        with _listen(socket_path(settings)) as listener:
            threading.Thread(target=_accept, args=(listener, loop, state), daemon=True).start()
            heartbeat.beat()
            log.info("engine.ready", context_tokens=loop.context_tokens, vocabulary=loop.vocabulary)
            while not stopped.wait(WATCH_S):
                loop.watch()
    heartbeat.stop()
    socket_path(settings).unlink(missing_ok=True)
    os._exit(0)  # the loop's thread is not a daemon, and a step may be long


class _Connection:
    """One web process."""

    def __init__(self, peer: socket.socket) -> None:
        self.peer = peer
        self.outbox: queue.Queue[Message | None] = queue.Queue(OUTBOX)

    def put(self, message: Message) -> None:
        """Never waits: a client that does not read is let go."""
        try:
            self.outbox.put_nowait(message)
        except queue.Full:
            log.error("engine.client_too_slow")
            self.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.peer.shutdown(socket.SHUT_RDWR)

    def write_all(self) -> None:
        """Several messages that wait are one write."""
        with contextlib.suppress(OSError):
            while (message := self.outbox.get()) is not None:
                lines = [encode(message)]
                while not self.outbox.empty() and (more := self.outbox.get()) is not None:
                    lines.append(encode(more))
                self.peer.sendall(b"".join(lines))


class _State:
    """What the heartbeat tells."""

    def __init__(self) -> None:
        self.loop: Loop | None = None
        self.registry = CollectorRegistry()
        self._active = Gauge(
            "shenqiao_engine_requests",
            "Requests in the engine, running or queued.",
            registry=self.registry,
        )
        self._capacity = Gauge(
            "shenqiao_engine_capacity_requests",
            "Requests that the engine takes before it answers busy.",
            registry=self.registry,
        )
        self._restarts = Gauge(
            "shenqiao_engine_loop_restarts",
            "Times that the loop died and was made anew on the same weights.",
            registry=self.registry,
        )
        self.requests = Counter(
            "shenqiao_engine_submitted_total",
            "Requests by whether they were taken.",
            ["result"],
            registry=self.registry,
        )

    def report(self) -> dict[str, object]:
        if self.loop is None:
            return {"loaded": False}
        self._active.set(self.loop.active)
        self._capacity.set(self.loop.capacity)
        self._restarts.set(self.loop.restarts)
        return {"loaded": True, "active": self.loop.active, "capacity": self.loop.capacity}


def _listen(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    path.chmod(0o600)
    listener.listen(16)
    return listener


def _accept(listener: socket.socket, loop: Loop, state: _State) -> None:
    while True:
        peer, _ = listener.accept()
        connection = _Connection(peer)
        connection.put(Hello(loop.vocabulary, loop.context_tokens))
        threading.Thread(target=connection.write_all, daemon=True).start()
        threading.Thread(target=_serve, args=(connection, loop, state), daemon=True).start()


def _serve(connection: _Connection, loop: Loop, state: _State) -> None:
    """Read one client's commands until it goes; then nobody waits for its requests."""
    try:
        for message in read(connection.peer):
            match message:
                case Submit():
                    answer = loop.submit(message, connection)
                    state.requests.labels(type(answer).__name__.lower()).inc()
                    connection.put(answer)
                case Cancel():
                    loop.cancel(message.id)
                case _:
                    raise WireError("not a command")
    except (WireError, OSError) as error:
        log.warning("engine.client_lost", reason=str(error))
    finally:
        loop.cancel_all_of(connection)
        connection.put(None)  # type: ignore[arg-type]  # ends the writer
        connection.close()


def _deliver(owner: object, step: Step) -> None:
    assert isinstance(owner, _Connection)
    owner.put(step)
