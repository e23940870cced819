"""The web's side of the engine's socket: the streams of all requests of this process; used by `chat`."""

import queue
from pathlib import Path

from tool_server.model.link import Link
from tool_server.model.sockets import WireError
from tool_server.model.wire import (
    Accepted,
    Cancel,
    Finish,
    Hello,
    Message,
    Refused,
    Step,
    Submit,
    encode,
    read,
)

AWAY = "The model is not loaded; try again in a moment."

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
    """Submits requests and hands out what comes back."""

    def __init__(self, path: Path) -> None:
        self.engine: Hello | None = None
        self._link: Link[Message, Stream] = Link(
            path,
            read,
            take=self._take,
            lost=lambda stream: stream.put(LOST),
            away=AWAY,
            greets=True,
        )

    def submit(self, request: Submit) -> Stream:
        """Send a request. Raises `Unavailable` when there is no engine."""
        stream = Stream(request.id, self)
        self._link.send(request.id, encode(request), stream)
        return stream

    def cancel(self, request_id: str) -> None:
        self._link.cancel(request_id, encode(Cancel(request_id)))

    def _take(self, message: Message) -> None:
        match message:
            case Hello():
                self.engine = message
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
        stream = self._link.done(request_id) if last else self._link.waiting(request_id)
        if stream is not None:
            stream.put(event)
