"""The engine process: one Unix socket, a thread to read and one to write for each connection, the loop behind them."""

import os
import signal
import socket
import threading
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from tool_server import logs
from tool_server.heartbeats import Heartbeat
from tool_server.model.engine import attention
from tool_server.model.engine.backend import Backend, Broken, batched
from tool_server.model.engine.batches import Batches
from tool_server.model.engine.grammar import Grammars
from tool_server.model.engine.intake import Intake
from tool_server.model.engine.load import load
from tool_server.model.engine.sequential import Sequential
from tool_server.model.sockets import Connection, WireError, listen
from tool_server.model.wire import (
    SOCKET,
    Cancel,
    Hello,
    Message,
    Step,
    Submit,
    encode,
    read,
)
from tool_server.parent import follow_parent
from tool_server.settings import Settings

log = structlog.get_logger()

WATCH_S = 0.1


def socket_path(settings: Settings) -> Path:
    return settings.run_dir / SOCKET


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
    backend = open_backend(settings)
    intake = Intake(
        backend, Grammars(settings.model_path, backend.vocabulary, backend.requests.ends)
    )
    state.backend = backend
    with listen(socket_path(settings)) as listener:
        threading.Thread(
            target=_accept, args=(listener, intake, backend, state), daemon=True
        ).start()
        heartbeat.beat()
        log.info(
            "engine.ready", context_tokens=backend.context_tokens, vocabulary=backend.vocabulary
        )
        status = _watch(backend, stopped)
    heartbeat.stop()
    socket_path(settings).unlink(missing_ok=True)
    os._exit(status)  # the loop's thread is not a daemon, and a step may be long


def open_backend(settings: Settings) -> Backend:
    """The model, loaded, behind the backend that can run it. Raises `LoadError`."""
    model = load(settings)
    if not batched(model, settings):
        return Sequential(model, settings, _deliver)
    attention.use(model)
    return Batches(model, settings, _deliver)


def _watch(backend: Backend, stopped: threading.Event) -> int:
    """Until SIGTERM; the process's exit status."""
    while not stopped.wait(WATCH_S):
        try:
            backend.watch()
        except Broken as error:
            log.critical("engine.broken", reason=str(error))
            return 1
    return 0


class _State:
    """What the heartbeat tells."""

    def __init__(self) -> None:
        self.backend: Backend | None = None
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
        self._tokens = Counter(
            "shenqiao_engine_tokens_total",
            "Tokens that the engine has made, those of answers that are not complete yet too.",
            registry=self.registry,
        )
        self._told = 0
        self.requests = Counter(
            "shenqiao_engine_submitted_total",
            "Requests by whether they were taken.",
            ["result"],
            registry=self.registry,
        )

    def report(self) -> dict[str, object]:
        if self.backend is None:
            return {"loaded": False}
        requests = self.backend.requests
        self._active.set(len(requests))
        self._capacity.set(requests.capacity)
        self._restarts.set(self.backend.restarts)
        made = requests.made
        self._tokens.inc(made - self._told)
        self._told = made
        return {"loaded": True, "active": len(requests), "capacity": requests.capacity}


def _accept(listener: socket.socket, intake: Intake, backend: Backend, state: _State) -> None:
    while True:
        peer, _ = listener.accept()
        connection = Connection[Message](peer, encode)
        connection.put(Hello(backend.vocabulary, backend.context_tokens))
        threading.Thread(target=connection.write_all, daemon=True).start()
        threading.Thread(
            target=_serve, args=(connection, intake, backend, state), daemon=True
        ).start()


def _serve(
    connection: Connection[Message], intake: Intake, backend: Backend, state: _State
) -> None:
    """Read one client's commands until it goes; then nobody waits for its requests."""
    session = _Session(connection, intake, backend, state)
    try:
        for message in read(connection.peer):
            match message:
                case Submit(schema=""):
                    session.take(message)
                case Submit():
                    session.take_later(message)
                case Cancel():
                    session.cancel(message.id)
                case _:
                    raise WireError("not a command")
    except (WireError, OSError) as error:
        log.warning("engine.client_lost", reason=str(error))
    finally:
        session.end()


class _Session:
    """One client's requests. A schema is compiled beside the others, so that it does not hold them up."""

    def __init__(
        self, connection: Connection[Message], intake: Intake, backend: Backend, state: _State
    ) -> None:
        self._connection = connection
        self._intake = intake
        self._backend = backend
        self._state = state
        self._compiling: set[str] = set()
        self._lock = threading.Lock()

    def take(self, request: Submit) -> None:
        answer = self._intake.submit(request, self._connection)
        self._state.requests.labels(type(answer).__name__.lower()).inc()
        self._connection.put(answer)

    def take_later(self, request: Submit) -> None:
        def work() -> None:
            self.take(request)
            with self._lock:
                withdrawn = request.id not in self._compiling
                self._compiling.discard(request.id)
            if withdrawn:
                self._backend.cancel(request.id)

        with self._lock:
            self._compiling.add(request.id)
        threading.Thread(target=work, daemon=True).start()

    def cancel(self, request_id: str) -> None:
        with self._lock:
            self._compiling.discard(request_id)
        self._backend.cancel(request_id)

    def end(self) -> None:
        with self._lock:
            self._compiling.clear()
        for request_id in self._backend.requests.of(self._connection):
            self._backend.cancel(request_id)
        self._connection.put(None)
        self._connection.close()


def _deliver(owner: object, step: Step) -> None:
    assert isinstance(owner, Connection)
    owner.put(step)
