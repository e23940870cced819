"""Who waits for which request: admission and progress, the same for every backend.

The only place that counts running and queued requests, because the engine alone sees all web processes.
"""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tool_server.model.engine.picker import Picker
from tool_server.model.wire import Finish, Refused, Step, Submit

type Deliver = Callable[[object, Step], None]


@dataclass
class Request:
    """A request in the engine: whose it is, how its tokens are chosen, how many of them were sent."""

    owner: object
    picker: Picker
    started: float
    sent: int = 0


@dataclass(frozen=True)
class Output:
    """All tokens of one request so far, and how it stands."""

    request_id: str
    tokens: Sequence[int]
    finished: bool = False
    failed: bool = False


class Requests:
    """The requests of one engine. Thread-safe; `deliver` is called without the lock."""

    def __init__(self, capacity: int, ends: frozenset[int], deliver: Deliver) -> None:
        self.capacity = capacity
        self.ends = ends
        self.made = 0  # tokens of all requests so far
        self._deliver = deliver
        self._held: dict[str, Request] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, request_id: str) -> bool:
        return request_id in self._held

    def enter(self, submit: Submit, picker: Picker, owner: object) -> Refused | None:
        """Take a request into account, or say why not."""
        with self._lock:
            if submit.id in self._held:
                return Refused(submit.id, "unavailable", "This id is in use.")
            if len(self._held) >= self.capacity:
                return Refused(submit.id, "busy", "The engine is full.")
            self._held[submit.id] = Request(owner, picker, time.perf_counter())
        return None

    def leave(self, request_id: str) -> bool:
        """Forget a request; False where it is not known."""
        with self._lock:
            return self._held.pop(request_id, None) is not None

    def of(self, owner: object) -> list[str]:
        with self._lock:
            return [name for name, request in self._held.items() if request.owner is owner]

    def fail_all(self) -> None:
        """End every request that is still held: nothing works on them any more."""
        with self._lock:
            held = list(self._held)
        self.advance(Output(name, (), failed=True) for name in held)

    def picker(self, request_id: str) -> Picker | None:
        """How the tokens of a request are chosen; None once nobody waits for it."""
        request = self._held.get(request_id)
        return None if request is None else request.picker

    def advance(self, outputs: Iterable[Output]) -> list[str]:
        """Send one step's new tokens, grouped by who waits; the ids of requests that ended before their own limit."""
        steps: dict[int, tuple[object, dict[str, list[int]], dict[str, Finish]]] = {}
        early = []
        with self._lock:
            for output in outputs:
                request = self._held.get(output.request_id)
                if request is None:
                    continue  # cancelled while the step ran
                _, tokens, finished = steps.setdefault(id(request.owner), (request.owner, {}, {}))
                new, end = self._progress(output, request)
                if new:
                    tokens[output.request_id] = new
                if end is not None:
                    finished[output.request_id] = end
                    del self._held[output.request_id]
                    if not output.finished:
                        early.append(output.request_id)
        for owner, tokens, finished in steps.values():
            self._deliver(owner, Step(tokens, finished))
        return early

    def _progress(self, output: Output, request: Request) -> tuple[list[int], Finish | None]:
        engine_s = time.perf_counter() - request.started
        new = list(output.tokens[request.sent :])
        self.made += len(new)
        request.sent = len(output.tokens)
        if output.failed:
            return new, Finish("error", engine_s, "The engine failed in the middle of this answer.")
        if new and new[-1] in self.ends:
            return new[:-1], Finish("stop", engine_s)
        request.picker.accept(new)
        if request.picker.complete:
            return new, Finish("stop", engine_s)
        return new, Finish("length", engine_s) if output.finished else None
