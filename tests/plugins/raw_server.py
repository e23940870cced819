"""A tool server that sends what a test says, byte by byte: what a real one never sends, and what breaks on the way."""

import json
import socket
import threading
import time
from collections import defaultdict
from typing import Any, Self


class RawServer:
    """`with RawServer() as server:`; each connection is answered with `says`, whole or with a pause between parts.

    A path may have answers of its own, in their order; the last one stays.
    """

    def __init__(self) -> None:
        self.says: list[bytes] = []
        self.pause_s = 0.0
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self._by_path: dict[str, list[list[bytes]]] = defaultdict(list)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._closed = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def answers(
        self,
        *parts: bytes | str,
        status: int = 200,
        headers: str = "Content-Type: text/plain",
        path: str = "",
    ) -> None:
        """A whole head, then these parts, then the end of the connection."""
        head = f"HTTP/1.1 {status} X\r\nConnection: close\r\n{headers}\r\n\r\n"
        says = [p.encode() if isinstance(p, str) else p for p in (head, *parts)]
        if path:
            self._by_path[path].append(says)
        else:
            self.says = says

    def answers_json(self, path: str, body: Any) -> None:
        self.answers(json.dumps(body), path=path)

    def forget(self, path: str) -> None:
        """The answers of this path, so that others can follow."""
        self._by_path.pop(path, None)

    def asked(self, path: str) -> list[bytes]:
        """The bodies of all requests to a path."""
        seen = zip(self.heads, self.bodies, strict=True)
        return [body for head, body in seen if head.split(b" ")[1] == path.encode()]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._listener.close()

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            try:
                head, body = _request(connection)
                self.heads.append(head)
                self.bodies.append(body)
                for part in self._says(head.split(b" ")[1].decode()):
                    connection.sendall(part)
                    time.sleep(self.pause_s)
            except OSError:
                return  # the client has gone, as it should

    def _says(self, path: str) -> list[bytes]:
        if path not in self._by_path:
            return self.says
        own = self._by_path[path]
        return own.pop(0) if len(own) > 1 else own[0]


def _request(connection: socket.socket) -> tuple[bytes, bytes]:
    """Head and body: a close with unread bytes would be a reset."""
    seen = b""
    while b"\r\n\r\n" not in seen:
        seen += _more(connection)
    head, _, body = seen.partition(b"\r\n\r\n")
    length = next(
        (
            int(line[15:])
            for line in head.lower().split(b"\r\n")
            if line.startswith(b"content-length")
        ),
        0,
    )
    while len(body) < length:
        body += _more(connection)
    return head, body


def _more(connection: socket.socket) -> bytes:
    part = connection.recv(65536)
    if not part:
        raise ConnectionError("the client has gone")
    return part
