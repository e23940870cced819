"""A guard model's stand-in: a real HTTP server that finds words unsafe or controversial, and its client."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

from tool_server.errors import Unavailable
from tool_server.model.moderation.guard import Verdict


class GuardServer(ThreadingHTTPServer):
    """Remembers what it was asked; `away` makes it answer 503."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[tuple[str, str]] = []
        self.unsafe: tuple[str, ...] = ("poison",)
        self.controversial: tuple[str, ...] = ("politics",)
        self.away = False


class _Handler(BaseHTTPRequestHandler):
    server: GuardServer

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((asked["prompt"], asked["answer"]))
        text = asked["prompt"] + asked["answer"]
        body = {"safety": "safe", "categories": []}
        if any(word in text for word in self.server.controversial):
            body = {"safety": "controversial", "categories": ["Politically Sensitive Topics"]}
        if any(word in text for word in self.server.unsafe):
            body = {"safety": "unsafe", "categories": ["Violent"]}
        self.send_response(503 if self.server.away else 200)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the base class's name)
        pass


class HttpGuard:
    """The protocol `Guard` over HTTP."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=5, trust_env=False)

    def check(self, prompt: str, answer: str) -> Verdict:
        try:
            reply = self._http.post("/", json={"prompt": prompt, "answer": answer})
            reply.raise_for_status()
        except httpx.HTTPError:
            raise Unavailable("The guard is away.", retry_after=7) from None
        body = reply.json()
        return Verdict(body["safety"], tuple(body["categories"]))

    def close(self) -> None:
        self._http.close()


@contextmanager
def serve() -> Iterator[tuple[GuardServer, HttpGuard]]:
    with GuardServer() as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        guard = HttpGuard(f"http://127.0.0.1:{server.server_address[1]}")
        try:
            yield server, guard
        finally:
            guard.close()
            server.shutdown()
