"""One call into a package, from its request to its end; `plugin` keeps those that live.

What comes for one that has ended is lost. While it lives, the package may call Dify (reverse invocation); what is in
flight when it ends is cancelled.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

# How often a silent session looks whether its client is still there.
LOOK_S = 0.05
CANCELED = "context canceled"

# (type, request) → the answers that Dify gives.
type Reverse = Callable[[str, Mapping[str, Any]], Iterator[Mapping[str, Any]]]


class Expired(Exception):
    """The package did not answer in time."""


def no_reverse(kind: str, _request: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """What a host without Dify behind it answers."""
    raise NotImplementedError(f"{kind} is not offered here")


class Session:
    """`answers` is read by the caller; `take` is called by the thread that reads the package's lines.

    With `room`, chunks that come while so many wait are dropped without a word, as the daemon does.
    """

    def __init__(
        self, name: str, send: Callable[[Mapping[str, Any]], None], reverse: Reverse, room: int = 0
    ) -> None:
        self.name = name
        self._send = send
        self._reverse = reverse
        self._room = room
        self._waiting: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._in_flight: set[str] = set()
        self._ended = False

    def take(self, message: dict[str, Any]) -> None:
        """A chunk, the end, an error, or a call of Dify."""
        if message["type"] == "invoke":
            self._begin(message["data"])
        elif not (
            self._room and message["type"] == "stream" and self._waiting.qsize() >= self._room
        ):
            self._waiting.put(message)

    def next(self, deadline: float, gone: Callable[[], bool]) -> dict[str, Any] | None:
        """The next message, None when the client has left. Raises `Expired`."""
        while time.monotonic() < deadline:
            try:
                return self._waiting.get(timeout=LOOK_S)
            except queue.Empty:
                if gone():
                    return None
        raise Expired

    def end(self) -> None:
        """What the package has in flight with Dify fails now; what it begins later is never answered."""
        with self._lock:
            self._ended = True
            open_calls, self._in_flight = self._in_flight, set()
        for call in open_calls:
            self._tell(call, "error", message=CANCELED)

    def _begin(self, call: Mapping[str, Any]) -> None:
        number = str(call["backwards_request_id"])
        with self._lock:
            if self._ended:
                return
            self._in_flight.add(number)
        threading.Thread(target=self._serve, args=(number, call), daemon=True).start()

    def _serve(self, number: str, call: Mapping[str, Any]) -> None:
        try:
            for data in self._reverse(call["type"], call["request"]):
                if number not in self._in_flight:
                    return
                self._tell(number, "response", data=data)
        except Exception as error:  # whatever it is, the package is told
            self._finish(number, "error", str(error))
        else:
            self._finish(number, "end", "")

    def _finish(self, number: str, event: str, message: str) -> None:
        with self._lock:
            alive = number in self._in_flight
            self._in_flight.discard(number)
        if alive:
            self._tell(number, event, message=message)

    def _tell(
        self, number: str, event: str, *, message: str = "", data: Mapping[str, Any] | None = None
    ) -> None:
        body = {
            "backwards_request_id": number,
            "event": event,
            "message": message,
            "data": data,
        }
        self._send({"session_id": self.name, "event": "backwards_response", "data": body})
