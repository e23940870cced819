"""An OpenAI-compatible engine that plays a script: its answers and its faults are plans, taken in order."""

import json
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WORDS = ("One", " two", " three", " four")
USAGE = {"prompt_tokens": 5, "completion_tokens": 4, "total_tokens": 9}


@dataclass(frozen=True)
class Plan:
    """How one request is answered. The defaults are an engine that is well."""

    status: int = 200
    body: str = '{"error": {"message": "by script", "code": 1}}'
    content_type: str = "text/event-stream"
    headers: dict[str, str] = field(default_factory=dict)
    deltas: tuple[dict[str, Any], ...] = tuple({"content": word} for word in WORDS)
    finish: str | None = "stop"
    usage: dict[str, int] | None = field(default_factory=lambda: dict(USAGE))
    done: bool = True
    first_s: float = 0.0  # before the first delta
    held: threading.Event | None = None  # and not before this is set
    pause_s: float = 0.0  # between two
    die_after: int | None = None  # deltas, then the connection breaks
    silent_after: int | None = None  # deltas, then nothing, until the client leaves
    no_head: bool = False  # not even a status, until the client leaves
    raw: tuple[bytes, ...] | None = None  # the body in these chunks, instead of all that


class FakeUpstream:
    """`with FakeUpstream() as fake:`; `fake.plan` for every request, `fake.next` for the coming ones."""

    def __init__(self, model: str = "fake-model", key: str = "") -> None:
        self.model = model
        self.key = key
        self.plan = Plan()
        self.next: deque[Plan] = deque()
        self.models: dict[str, Any] = {"max_model_len": 4096}
        self.health = 200
        self.models_status = 200
        self.bodies: list[dict[str, Any]] = []
        self.ids: list[str] = []
        self.running = 0
        self.most_running = 0
        self.left: list[float] = []  # when clients left before the end
        self._lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None
        self._connections: set[socket.socket] = set()
        self._port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def name(self) -> str:
        return f"127.0.0.1:{self._port}"

    def start(self) -> None:
        """Listen, after a stop on the same port."""
        self._server = _Listener(("127.0.0.1", self._port), self._handler())
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Die: the port refuses, all connections break."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        for connection in list(self._connections):
            _break(connection)

    def __enter__(self) -> "FakeUpstream":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def take(self, body: dict[str, Any], name: str) -> Plan:
        with self._lock:
            self.bodies.append(body)
            self.ids.append(name)
            self.running += 1
            self.most_running = max(self.most_running, self.running)
            return self.next.popleft() if self.next else self.plan

    def give_back(self) -> None:
        with self._lock:
            self.running -= 1

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        fake = self

        class Handler(_Handler):
            upstream = fake

            def setup(self) -> None:
                super().setup()
                fake._connections.add(self.connection)

            def finish(self) -> None:
                fake._connections.discard(self.connection)
                super().finish()

        return Handler


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that leave are part of the play."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    upstream: FakeUpstream
    _running = False

    def log_message(self, *_: object) -> None:
        """No line per request."""

    def do_GET(self) -> None:
        fake = self.upstream
        if self.path == "/v1/models":
            entry = {"id": fake.model, "object": "model", **fake.models}
            self._whole(fake.models_status, json.dumps({"object": "list", "data": [entry]}))
        else:
            self._whole(fake.health if self.path == "/health" else 404, "")

    def do_POST(self) -> None:
        fake = self.upstream
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if fake.key and self.headers.get("Authorization") != f"Bearer {fake.key}":
            self._whole(401, '{"error": {"message": "wrong key"}}')
            return
        plan = fake.take(body, self.headers.get("X-Request-Id", ""))
        self._running = True
        try:
            self._play(plan)
        except (OSError, _Left):
            fake.left.append(time.monotonic())
            self.close_connection = True
        finally:
            self._over()

    def _over(self) -> None:
        """Called before the client can know that it is over, and may send its next request."""
        if self._running:
            self._running = False
            self.upstream.give_back()

    def _play(self, plan: Plan) -> None:
        if plan.no_head:
            self._wait_until_left()
        if plan.status != 200:
            self._whole(plan.status, plan.body, plan.headers)
            return
        self.send_response(200)
        self.send_header("Content-Type", plan.content_type)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if plan.raw is not None:
            for part in plan.raw:
                self._send(part)
        else:
            self._stream(plan)
        self._send(b"")

    def _stream(self, plan: Plan) -> None:
        self._chunk({"role": "assistant", "content": ""})
        self._sleep(plan.first_s)
        if plan.held is not None:
            self._hold(plan.held)
        for number, delta in enumerate(plan.deltas):
            self._faults(plan, number)
            self._chunk(delta)
            self._sleep(plan.pause_s)
        self._faults(plan, len(plan.deltas))
        self._over()
        if plan.finish:
            self._chunk({}, plan.finish)
        if plan.usage:
            self._event({"choices": [], "usage": plan.usage})
        if plan.done:
            self._send(b"data: [DONE]\n\n")

    def _faults(self, plan: Plan, number: int) -> None:
        if plan.die_after == number:
            _break(self.connection)
            raise _Left
        if plan.silent_after == number:
            self._wait_until_left()

    def _sleep(self, seconds: float) -> None:
        """As an engine does: it looks whether anybody still waits."""
        if seconds and _wait(lambda: self._gone(), seconds):
            raise _Left

    def _hold(self, go: threading.Event) -> None:
        _wait(lambda: go.is_set() or self._gone(), 60)
        if not go.is_set():
            raise _Left

    def _wait_until_left(self) -> None:
        _wait(lambda: self._gone(), 60)
        raise _Left

    def _gone(self) -> bool:
        readable, _, _ = select.select([self.connection], [], [], 0)
        return bool(readable) and self.connection.recv(1, socket.MSG_PEEK) == b""

    def _chunk(self, delta: dict[str, Any], finish: str | None = None) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        self._event({"id": "u", "object": "chat.completion.chunk", "choices": [choice]})

    def _event(self, body: dict[str, Any]) -> None:
        self._send(f"data: {json.dumps(body)}\n\n".encode())

    def _send(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def _whole(self, status: int, body: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())


class _Left(Exception):
    """The client has gone, or we have."""


def _wait(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.01)
    return False


def _break(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
