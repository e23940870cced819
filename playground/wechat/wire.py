"""One HTTP request with one deadline over all of it, on a connection of its own; called by `deliver` and `attack`.

A client whose timeout starts anew with each packet would wait for ever for an answer that trickles.
"""

import http.client
import io
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import cast
from urllib.parse import SplitResult, urlencode, urlsplit

ANSWER_BYTES = 1 << 20


@dataclass(frozen=True)
class Request:
    """A callback as it goes out."""

    query: dict[str, str]
    body: bytes = b""
    content_type: str = "text/xml"
    more: str = ""  # a raw end of the query
    chunks: int = 0  # the body in this many parts, without its length told
    pause_s: float = 0.0  # before each of them


@dataclass(frozen=True)
class Answer:
    """What came back in time."""

    status: int
    body: bytes


class Cut(Exception):
    """The deadline passed before the whole answer was there; the connection is closed."""


class Broken(Exception):
    """No answer: refused, reset, or not HTTP; the text names which."""


def call(method: str, url: str, request: Request, *, within_s: float) -> Answer:
    """Send `request` and read the whole answer within `within_s` seconds. Raises `Cut` and `Broken`."""
    parts = urlsplit(url)
    queries = (parts.query, urlencode(request.query), request.more)
    query = "&".join(part for part in queries if part)
    try:
        with _Connection(parts, time.monotonic() + within_s) as connection:
            # A server that refuses a body may answer before it has read all of it.
            with suppress(BrokenPipeError, ConnectionResetError):
                headers = {"Content-Type": request.content_type} if request.body else {}
                path, body = f"{parts.path or '/'}?{query}", _body(request)
                if request.chunks:
                    headers["Transfer-Encoding"] = "chunked"
                connection.request(method, path, body, headers, encode_chunked=request.chunks > 0)
            response = connection.getresponse()
            return Answer(response.status, response.read(ANSWER_BYTES))
    except TimeoutError:
        raise Cut from None
    except (OSError, http.client.HTTPException) as error:
        raise Broken(type(error).__name__) from None


def _body(request: Request) -> bytes | Iterator[bytes]:
    """As it is, or in parts: `http.client` then tells no length."""
    return _parts(request) if request.chunks else request.body


def _parts(request: Request) -> Iterator[bytes]:
    size = max(1, -(-len(request.body) // request.chunks))
    for begin in range(0, len(request.body), size):
        time.sleep(request.pause_s)
        yield request.body[begin : begin + size]


class _Connection(http.client.HTTPConnection):
    """An HTTP connection whose every socket operation ends at the deadline."""

    def __init__(self, parts: SplitResult, deadline: float) -> None:
        super().__init__(
            parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        )
        self._raw: socket.socket | None = None
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._deadline = deadline

    def __enter__(self) -> "_Connection":
        return self

    def __exit__(self, *_: object) -> None:
        if self._raw is not None:
            self._raw.close()

    def connect(self) -> None:
        raw = socket.create_connection((self.host, self.port), _left(self._deadline))
        self._raw = raw
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls is not None:
            self._raw = raw = self._tls.wrap_socket(raw, server_hostname=self.host)
        self.sock = cast("socket.socket", _Socket(raw, self._deadline))


class _Socket:
    """The three things that `http.client` does with a socket."""

    def __init__(self, raw: socket.socket, deadline: float) -> None:
        self._raw = raw
        self._deadline = deadline

    def sendall(self, data: bytes) -> None:
        self._raw.settimeout(_left(self._deadline))
        self._raw.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self._raw, self._deadline))

    def close(self) -> None:
        """`http.client` closes as soon as it knows that no second answer comes; the first is not read yet."""


class _Reader(io.RawIOBase):
    def __init__(self, raw: socket.socket, deadline: float) -> None:
        self._raw = raw
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        self._raw.settimeout(_left(self._deadline))
        return self._raw.recv_into(cast("bytearray", buffer))


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
