"""The web's side of the aux socket: one connection for all requests of this process; used by the routes and the guard.

An aux process that is away costs a 503 at once; the next request tries again, so nothing has to be restarted here.
"""

import contextlib
import queue
import secrets
import socket
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from tool_server.errors import ApiError, BadRequest, Busy, NotFound, Unavailable
from tool_server.model.aux.wire import (
    Answer,
    Cancel,
    Command,
    Refused,
    WireError,
    encode,
    read,
)

log = structlog.get_logger()

CONNECT_S = 1.0
# A write that the other side does not read for this long means that it hangs.
SEND_S = 30.0
RETRY_AFTER_S = 2
# How often it is looked whether the caller is still there.
TICK_S = 0.25
AWAY = "The auxiliary models are being started; try again in a moment."
LOST = "The auxiliary models were restarted in the middle of this request; try again."
SLOW = "The auxiliary model did not answer in time; try again in a moment."


# None: the connection was lost.
type Answers = queue.SimpleQueue[Answer | None]


class ClientGone(ApiError):
    """Nobody will read the answer."""

    status = 499
    code = "client_gone"


def new_id() -> str:
    """An id that no other web process gives."""
    return secrets.token_hex(12)


class AuxClient:
    """Connects with the first request, and again after a loss."""

    def __init__(self, path: Path, timeout_s: float) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._peer: socket.socket | None = None
        self._waiting: dict[str, tuple[socket.socket, Answers]] = {}

    def ask[A: Answer](
        self, command: Command, kind: type[A], gone: Callable[[], bool] = lambda: False
    ) -> A:
        """The answer to one command. `gone` tells that nobody waits any more.

        Raises `Unavailable` (away, loading, lost), `Busy`, `BadRequest` and `ClientGone`.
        """
        answers: Answers = queue.SimpleQueue()
        self._send(command, answers)
        try:
            answer = self._wait(answers, gone)
        except BaseException:
            self._cancel(command.id)
            raise
        if isinstance(answer, Refused):
            raise refusal(answer)
        if not isinstance(answer, kind):
            raise Unavailable(LOST, retry_after=RETRY_AFTER_S)
        return answer

    def _wait(self, answers: Answers, gone: Callable[[], bool]) -> Answer | None:
        deadline = time.monotonic() + self._timeout_s
        while time.monotonic() < deadline:
            try:
                return answers.get(timeout=TICK_S)
            except queue.Empty:
                if gone():
                    raise ClientGone("The client went away.") from None
        raise Unavailable(SLOW, retry_after=RETRY_AFTER_S)

    def _send(self, command: Command, answers: Answers) -> None:
        line = encode(command)
        with self._lock:
            peer = self._connected()
            self._waiting[command.id] = (peer, answers)
            try:
                peer.sendall(line)
            except OSError:
                self._waiting.pop(command.id, None)
                with contextlib.suppress(OSError):  # a half-sent line: the connection is of no use
                    peer.shutdown(socket.SHUT_RDWR)
                self._peer = None
                raise Unavailable(AWAY, retry_after=RETRY_AFTER_S) from None

    def _cancel(self, request_id: str) -> None:
        with self._lock:
            known = self._waiting.pop(request_id, None)
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
            raise Unavailable(AWAY, retry_after=RETRY_AFTER_S) from None
        peer.settimeout(None)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _timeval(SEND_S))
        threading.Thread(target=self._read, args=(peer,), name="aux", daemon=True).start()
        self._peer = peer
        return peer

    def _read(self, peer: socket.socket) -> None:
        try:
            for message in read(peer):
                waiting = self._waiting.pop(message.id, None)
                if waiting is not None:
                    waiting[1].put(message)  # type: ignore[arg-type]  # a command is no answer: `ask` checks
        except (WireError, OSError) as error:
            log.warning("aux.lost", reason=str(error))
        finally:
            self._lose(peer)

    def _lose(self, peer: socket.socket) -> None:
        """The process has gone: whoever waits is told, the next request connects anew."""
        with self._lock:
            if self._peer is peer:
                self._peer = None
            lost = [name for name, (other, _) in self._waiting.items() if other is peer]
            answers = [self._waiting.pop(name)[1] for name in lost]
        peer.close()
        for waiting in answers:
            waiting.put(None)


def refusal(refused: Refused) -> ApiError:
    """A refusal as the error that the caller of the HTTP route gets."""
    wait = refused.retry_after_s or RETRY_AFTER_S
    match refused.code:
        case "busy":
            return Busy(refused.message, retry_after=wait)
        case "bad_input":
            field, _, reason = refused.message.partition(": ")
            return BadRequest(f"{field}: {reason}", param=field)
        case "not_served":
            return NotFound(refused.message, code="model_not_found", param="model")
        case "loading":
            return Unavailable(refused.message, code="model_loading", retry_after=wait)
        case "not_loaded":
            return Unavailable(refused.message, code="model_not_loaded", retry_after=wait)
    failed = ApiError(refused.message, code="model_failed")
    failed.retry = True
    return failed


def _timeval(seconds: float) -> bytes:
    return struct.pack("ll", int(seconds), 0)
