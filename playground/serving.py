"""Serving a stand-in's Flask app on loopback, and telling whoever started it where; used by both stand-ins."""

import json
import signal
import threading
from typing import TYPE_CHECKING

from flask import Flask
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

CLOSE_S = 0.05  # how long a server may take to notice that it is to close


class Handler(WSGIRequestHandler):
    """Connections stay open, and a small packet goes out at once."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def make_environ(self) -> "WSGIEnvironment":
        """With all headers as they came: WSGI leaves out those with `_` in their name."""
        return {**super().make_environ(), "playground.headers": list(self.headers.items())}

    def log(self, *_: object, **__: object) -> None:
        """No line per request."""


class Server:
    """A threaded server in the background; `with Server(app) as server:` in tests."""

    def __init__(self, app: Flask, port: int = 0) -> None:
        self._server: BaseWSGIServer = make_server(
            "127.0.0.1", port, app, threaded=True, request_handler=Handler
        )
        self._server.daemon_threads = True  # type: ignore[attr-defined]  # ThreadingMixIn has it
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(CLOSE_S,), daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def run_until_stopped(said: dict[str, str]) -> None:
    """Print the line that `Process.ready` waits for, then stay until SIGTERM or Ctrl-C."""
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    print("ready " + json.dumps(said), flush=True)  # noqa: T201  (whoever started us reads this line)
    stopped.wait()
