"""What the aux process works on: a job per request, made of items; its last item ends it."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from tool_server.model.aux.kinds import Kind
from tool_server.model.aux.wire import Answer, Refused, RefusedCode


class Runner(Protocol):
    """A loaded model. `run` is called by the executor's thread alone."""

    # Whether several items of several requests may share a forward.
    batched: bool
    weight_bytes: int

    def refusal(self, item: Any) -> str | None:
        """Why this item cannot be run, as a sentence for the caller; None where it can."""

    def run(self, items: Sequence[Any]) -> list[Any]:
        """One forward; a result per item, in their order."""


@dataclass(frozen=True)
class Text:
    """Tokens to read; `types` has one entry per token, or none at all."""

    tokens: Sequence[int]
    types: Sequence[int] = ()


@dataclass(frozen=True)
class Prompt:
    """Tokens to go on with."""

    tokens: Sequence[int]
    max_tokens: int


@dataclass(frozen=True)
class Sound:
    """A part of a recording: `samples` is float32 at 16 kHz, begun at `start` seconds."""

    samples: Any
    start: float
    language: str | None
    temperature: float


@dataclass(frozen=True)
class Item:
    """One part of a job; `length` in tokens."""

    job: "Job"
    index: int
    payload: Any
    length: int
    since: float = field(default_factory=time.monotonic)


class Job:
    """One request. It ends once: with its answer, a refusal, or nothing where nobody waits any more."""

    def __init__(
        self,
        request_id: str,
        kind: Kind,
        *,
        tokens: int,
        build: Callable[[str, list[Any]], Answer],
        end: Callable[["Job", Answer | None], None],
    ) -> None:
        self.id = request_id
        self.kind = kind
        self.tokens = tokens
        self.items: list[Item] = []
        self.build = build  # set anew where the items are known later
        self._end = end
        self._results: dict[int, Any] = {}
        self._lock = threading.Lock()
        self._ended = False

    @property
    def ended(self) -> bool:
        return self._ended

    def divide(self, payloads: Sequence[Any]) -> None:
        """Make the items; called once, before the executor sees the job."""
        self.items = [
            Item(self, index, payload, len(getattr(payload, "tokens", ())))
            for index, payload in enumerate(payloads)
        ]

    def done(self, item: Item, result: Any) -> None:
        self._results[item.index] = result
        if len(self._results) == len(self.items):
            ordered = [self._results[index] for index in range(len(self.items))]
            self.finish(self.build(self.id, ordered))

    def refuse(self, code: RefusedCode, message: str, retry_after_s: int = 0) -> None:
        self.finish(Refused(self.id, code, message, retry_after_s))

    def finish(self, answer: Answer | None) -> None:
        """End the job; harmless when it has ended. None: nobody waits for it."""
        with self._lock:
            if self._ended:
                return
            self._ended = True
        self._end(self, answer)
