"""The daemon's public door: a request to `/e/<hook>/…` becomes a session of package A, which ends with the answer.

As hard as the real one (its source, and what was seen of it running): bodies are cut, headers taken out, queries put
in order; the answer goes out chunk by chunk and may lose some; who leaves ends the session.
"""

import json
import socket
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from flask import Blueprint, Response, request

from playground.dify.plugin import Plugin, PluginError

# A longer body is cut without a word.
BODY_LIMIT = 10 * 1024 * 1024
METHODS = ("HEAD", "GET", "POST", "PUT", "DELETE", "OPTIONS")
# Where a request came from; and what belongs to one connection or is set anew.
REMOVED = {
    "x-forwarded-for",
    "x-real-ip",
    "x-forwarded",
    "x-original-forwarded-for",
    "x-original-url",
    "x-original-host",
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "dify-hook-id",
    "dify-hook-url",
}


def endpoint_blueprint(plugin: Plugin, hook: str, settings: Mapping[str, Any]) -> Blueprint:
    """`/e/<hook>/…`; whatever else is asked for there is not."""
    routes = Blueprint("endpoint", __name__)

    @routes.route("/e/<name>/", methods=[*METHODS, "PATCH"], defaults={"path": ""})
    @routes.route("/e/<name>/<path:path>", methods=[*METHODS, "PATCH"])
    def endpoint(name: str, path: str) -> Response:
        if request.method not in METHODS:
            return Response("404 page not found", status=404, mimetype="text/plain")
        if name != hook:
            return _failure(404, -400, "endpoint not found")
        answers = invoke_endpoint(plugin, _raw_request(path, hook), settings, _client_gone())
        try:
            head = next(answers, None)
        except PluginError as error:
            return _failure(500, -500, json.dumps(error.raw) if error.raw else str(error))
        if head is None:  # the client has left: nobody reads this
            return Response(status=502)
        return _streamed(head, answers)

    return routes


def invoke_endpoint(
    plugin: Plugin,
    raw_request: bytes,
    settings: Mapping[str, Any],
    gone: Callable[[], bool] = lambda: False,
) -> Generator[dict[str, Any], None, None]:
    """One session of the package's endpoint; yields status and headers, then the body in hex."""
    data = {
        "type": "endpoint",
        "action": "invoke_endpoint",
        "settings": dict(settings),
        "raw_http_request": raw_request.hex(),
    }
    rules = plugin.rules
    return plugin.call(data, timeout_s=rules.execution_s, gone=gone, room=rules.chunks)


def _streamed(head: Mapping[str, Any], answers: Generator[dict[str, Any], None, None]) -> Response:
    """Status and headers go out with the first chunk; an error after that becomes a part of the body."""

    def body() -> Iterator[bytes]:
        try:
            first = head if "result" in head else next(answers, {})
            yield bytes.fromhex(first.get("result") or "")
            for part in answers:
                yield bytes.fromhex(part.get("result") or "")
        except PluginError as error:
            yield (
                _error_body(-500, "killed by timeout")
                if error.kind == "Timeout"
                else (json.dumps(error.raw).encode())
            )
        finally:
            answers.close()

    headers = {k: v for k, v in head["headers"].items() if k.lower() != "content-length"}
    return Response(body(), status=head["status"], headers=headers)


def _failure(status: int, code: int, message: str) -> Response:
    return Response(_error_body(code, message), status=status, mimetype="application/json")


def _error_body(code: int, message: str) -> bytes:
    return json.dumps({"code": code, "message": message, "data": None}).encode()


def _client_gone() -> Callable[[], bool]:
    """Whether whoever sent the current request has closed the connection."""
    connection = request.environ.get("werkzeug.socket")
    if not isinstance(connection, socket.socket):
        return lambda: False
    return lambda: _closed(connection)


def _closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def _raw_request(path: str, hook: str) -> bytes:
    """The request as text, as the daemon writes it for the package."""
    body = request.stream.read(BODY_LIMIT)
    given = request.environ.get("playground.headers") or list(request.headers)
    named = {name.lower(): value for name, value in given}
    host = named.get("x-original-host", request.host)
    scheme = "https" if named.get("x-forwarded-proto") == "https" else "http"
    headers = {name: value for name, value in given if name.lower() not in REMOVED}
    headers |= {
        "Host": host,
        "Content-Length": str(len(body)),
        "Dify-Hook-Id": hook,
        "Dify-Hook-Url": named.get("dify-hook-url") or f"{scheme}://{host}/e/{hook}/{path}",
    }
    lines = [f"{request.method} {_target(path)} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n" + body


def _target(path: str) -> str:
    """Path and query, both written anew; the query's names in order."""
    pairs = parse_qsl(request.query_string.decode("latin-1"), keep_blank_values=True)
    query = urlencode(sorted(pairs, key=lambda pair: pair[0]))
    return f"/{quote(path)}?{query}" if query else f"/{quote(path)}"
