"""The server's side of a Unix socket, for engine and auxiliary models: listening, and what waits to be sent.

Both sides read lines with `lines`; `link` is the other side.
"""

import contextlib
import itertools
import queue
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import structlog

log = structlog.get_logger()

# Messages that wait for a client that does not read; with one more it is let go, and never holds up a step.
OUTBOX = 4096
BACKLOG = 16


class WireError(Exception):
    """The other side sent something that is not of this protocol."""


def lines(connection: socket.socket, limit: int) -> Iterator[bytes]:
    """All lines of at most `limit` bytes until the other side closes. Raises `WireError`, `OSError`."""
    with connection.makefile("rb") as file:
        while line := file.readline(limit):
            if not line.endswith(b"\n"):
                raise WireError("a line is cut or too long")
            yield line


def listen(path: Path) -> socket.socket:
    """A listening socket that nobody but this user may use."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    path.chmod(0o600)
    listener.listen(BACKLOG)
    return listener


class Connection[M]:
    """One web process."""

    def __init__(self, peer: socket.socket, encode: Callable[[M], bytes]) -> None:
        self.peer = peer
        self._encode = encode
        self._outbox: queue.Queue[M | None] = queue.Queue(OUTBOX)
        self._ended = False

    def put(self, message: M | None) -> None:
        """Never waits: a client that does not read is let go. None ends the writer."""
        try:
            self._outbox.put_nowait(message)
        except queue.Full:
            log.error("socket.client_too_slow")
            self.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.peer.shutdown(socket.SHUT_RDWR)

    def write_all(self) -> None:
        """Until None comes; several messages that wait are one write."""
        with contextlib.suppress(OSError):
            while waiting := self._waiting():
                self.peer.sendall(b"".join(map(self._encode, waiting)))

    def _waiting(self) -> list[M]:
        """All messages that are there, at least one; empty at the end."""
        if self._ended:
            return []
        found = [self._outbox.get()]
        while not self._outbox.empty():
            found.append(self._outbox.get())
        messages = list(itertools.takewhile(lambda message: message is not None, found))
        self._ended = len(messages) < len(found)
        return [message for message in messages if message is not None]
