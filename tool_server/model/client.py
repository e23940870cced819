"""The web's side of the engine's socket: one connection for all requests of this process; used by `chat`.

An engine that is away costs a 503 at once; the next request tries again, so nothing has to be restarted here.
"""

import contextlib
import queue
import socket
import threading
from pathlib import Path

import structlog

from tool_server.errors import Unavailable
from tool_server.model.wire import (
    Accepted,
    Cancel,
    Finish,
    Hello,
    Message,
    Refused,
    Step,
    Submit,
    WireError,
    encode,
    read,
)

log = structlog.get_logger()

CONNECT_S = 1.0
HELLO_S = 5.0
RETRY_AFTER_S = 2

type Event = Accepted | Refused | Progress


class Progress:
    """New tokens of one request, and its end with the last of them."""

    def __init__(self, tokens: list[int], finish: Finish | None) -> None:
        self.tokens = tokens
        self.finish = finish


LOST = Progress([], Finish("error", 0.0, "The engine was restarted in the middle of this answer."))


class Stream:
    """The events of one submitted request."""

    def __init__(self, request_id: str, client: "EngineClient") -> None:
        self.id = request_id
        self._client = client
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._answered = False

    def put(self, event: Event) -> None:
        """Called in the order of the wire. The engine's loop may be faster than the thread that says yes: then the
        first tokens are the yes, and the late one is dropped.
        """
        if isinstance(event, Accepted) and self._answered:
            return
        if isinstance(event, Progress) and event is not LOST and not self._answered:
            self._events.put(Accepted(self.id))
        self._answered = True
        self._events.put(event)

    def next(self, timeout_s: float) -> Event | None:
        """The next event; None when nothing came in time."""
        try:
            return self._events.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def cancel(self) -> None:
        """Nobody reads any more; harmless after the end."""
        self._client.cancel(self.id)


class EngineClient:
    """Connects with the first request, and again after a loss."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._peer: socket.socket | None = None
        self._hello = threading.Event()
        self._streams: dict[str, Stream] = {}
        self.engine: Hello | None = None

    def submit(self, request: Submit) -> Stream:
        """Send a request. Raises `Unavailable` when there is no engine."""
        stream = Stream(request.id, self)
        with self._lock:
            peer = self._connected()
            self._streams[request.id] = stream
            try:
                peer.sendall(encode(request))
            except OSError:
                self._streams.pop(request.id, None)
                raise _away() from None
        return stream

    def cancel(self, request_id: str) -> None:
        with self._lock:
            known = self._streams.pop(request_id, None)
            if known is not None and self._peer is not None:
                with contextlib.suppress(OSError):
                    self._peer.sendall(encode(Cancel(request_id)))

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
            raise _away() from None
        peer.settimeout(None)
        self._hello.clear()
        threading.Thread(target=self._read, args=(peer,), name="engine", daemon=True).start()
        if not self._hello.wait(HELLO_S):
            peer.close()
            raise _away()
        self._peer = peer
        return peer

    def _read(self, peer: socket.socket) -> None:
        try:
            for message in read(peer):
                self._route(message)
        except (WireError, OSError) as error:
            log.warning("engine.lost", reason=str(error))
        finally:
            self._lose(peer)

    def _route(self, message: Message) -> None:
        match message:
            case Hello():
                self.engine = message
                self._hello.set()
            case Accepted() | Refused():
                self._give(message.id, message, last=isinstance(message, Refused))
            case Step():
                for request_id in message.tokens.keys() | message.finished.keys():
                    finish = message.finished.get(request_id)
                    progress = Progress(message.tokens.get(request_id, []), finish)
                    self._give(request_id, progress, last=finish is not None)
            case _:
                raise WireError("not an answer")

    def _give(self, request_id: str, event: Event, *, last: bool) -> None:
        stream = self._streams.pop(request_id, None) if last else self._streams.get(request_id)
        if stream is not None:
            stream.put(event)

    def _lose(self, peer: socket.socket) -> None:
        """The engine has gone: whoever waits is told, the next request connects anew."""
        with self._lock:
            if self._peer is peer:
                self._peer = None
            lost, self._streams = list(self._streams.values()), {}
        peer.close()
        for stream in lost:
            stream.put(LOST)


def _away() -> Unavailable:
    return Unavailable("The model is not loaded; try again in a moment.", retry_after=RETRY_AFTER_S)
