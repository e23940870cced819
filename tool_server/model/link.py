"""The web's side of a Unix socket to an engine: one connection for all requests; under `client` and `aux/client`.

A process that is away costs a 503 at once; the next request tries again, so nothing has to be restarted here.
"""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import structlog

from tool_server.errors import Unavailable
from tool_server.model.sockets import WireError

log = structlog.get_logger()

CONNECT_S = 1.0
HELLO_S = 5.0
# A write that the other side does not read for this long means that it hangs.
SEND_S = 30.0
RETRY_AFTER_S = 2


class Link[M, W]:
    """Connects with the first request, and again after a loss. `M` is what comes, `W` who waits for answers.

    `take` gets each message, `lost` each one who waited on a connection that ended. `greets`: the other side speaks
    first, and nothing is sent before.
    """

    def __init__(
        self,
        path: Path,
        read: Callable[[socket.socket], Iterator[M]],
        *,
        take: Callable[[M], None],
        lost: Callable[[W], None],
        away: str,
        greets: bool = False,
    ) -> None:
        self._path = path
        self._read = read
        self._take = take
        self._lost = lost
        self._away = away
        self._greets = greets
        self._lock = threading.Lock()
        self._peer: socket.socket | None = None
        self._waiting: dict[str, tuple[socket.socket, W]] = {}

    def send(self, request_id: str, line: bytes, waiting: W) -> None:
        """Send a request; its answers are for `waiting`. Raises `Unavailable` where nobody is there."""
        with self._lock:
            peer = self._connected()
            self._waiting[request_id] = (peer, waiting)
            try:
                peer.sendall(line)
            except OSError:
                self._waiting.pop(request_id, None)
                self._break()
                raise self._unavailable() from None

    def cancel(self, request_id: str, line: bytes) -> None:
        """Forget a request and say so; nothing is said of one that has ended."""
        with self._lock:
            known = self._waiting.pop(request_id, None)
            if known is None or known[0] is not self._peer:
                return
            try:
                known[0].sendall(line)
            except OSError:
                self._break()

    def waiting(self, request_id: str) -> W | None:
        """Who waits for this request."""
        known = self._waiting.get(request_id)
        return None if known is None else known[1]

    def done(self, request_id: str) -> W | None:
        """Who waited for this request; its last answer has come."""
        known = self._waiting.pop(request_id, None)
        return None if known is None else known[1]

    def _connected(self) -> socket.socket:
        """The connection, made if there is none; called with the lock."""
        if self._peer is not None:
            return self._peer
        peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        peer.settimeout(CONNECT_S)
        try:
            peer.connect(str(self._path))
        except OSError:
            peer.close()
            raise self._unavailable() from None
        peer.settimeout(None)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(SEND_S), 0))
        greeted = threading.Event()
        name = self._path.stem
        threading.Thread(target=self._listen, args=(peer, greeted), name=name, daemon=True).start()
        if self._greets and not greeted.wait(HELLO_S):
            _shut(peer)
            raise self._unavailable()
        self._peer = peer
        return peer

    def _listen(self, peer: socket.socket, greeted: threading.Event) -> None:
        try:
            for message in self._read(peer):
                self._take(message)
                greeted.set()
        except (WireError, OSError) as error:
            log.warning("engine.lost", socket=self._path.name, reason=str(error))
        finally:
            self._lose(peer)

    def _lose(self, peer: socket.socket) -> None:
        """The process has gone: whoever waits is told, the next request connects anew."""
        with self._lock:
            if self._peer is peer:
                self._peer = None
            names = [name for name, (other, _) in list(self._waiting.items()) if other is peer]
            lost = [known for name in names if (known := self._waiting.pop(name, None))]
        peer.close()
        for _, waiting in lost:
            self._lost(waiting)

    def _break(self) -> None:
        """A line was half sent: the connection is of no use; its reader tells the others."""
        if self._peer is not None:
            _shut(self._peer)
            self._peer = None

    def _unavailable(self) -> Unavailable:
        return Unavailable(self._away, retry_after=RETRY_AFTER_S)


def _shut(peer: socket.socket) -> None:
    with contextlib.suppress(OSError):
        peer.shutdown(socket.SHUT_RDWR)
