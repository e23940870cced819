"""What makes answers, as the routes see it: our own engine, or upstream engines by URL; the same calls for both."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tool_server.model.request import StreamOptions
from tool_server.model.text import Piece


@dataclass(frozen=True)
class ToolDelta:
    """A part of a tool call: id and name come first, then fragments of its arguments, by `index`."""

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


type Part = Piece | ToolDelta


class Said(Protocol):
    """A message of a conversation; its content may be cleaned."""

    content: Any

    def plain(self) -> Mapping[str, Any]: ...


class Asked(Protocol):
    """What the routes read of a request; the rest is the backend's business."""

    @property
    def messages(self) -> Sequence[Said]: ...

    @property
    def model(self) -> str: ...
    @property
    def stream(self) -> bool: ...
    @property
    def stream_options(self) -> StreamOptions | None: ...
    @property
    def max_tokens(self) -> int | None: ...
    @property
    def max_completion_tokens(self) -> int | None: ...


class Running(Protocol):
    """An answer on its way; after the last piece its counts are right."""

    @property
    def id(self) -> str: ...
    @property
    def prompt_tokens(self) -> int: ...
    @property
    def completion_tokens(self) -> int: ...
    @property
    def first_token_s(self) -> float | None: ...
    @property
    def finish_reason(self) -> str: ...
    @property
    def complete(self) -> bool:
        """Whether it came to its end; False where the client left."""

    def pieces(self, tick: Callable[[], bool] = ...) -> Iterator[Part | None]:
        """Its parts in order; None is a sign of life each second. Raises `ApiError`; a True of `tick` ends it."""

    def close(self) -> None:
        """Nobody reads any more, perhaps nobody ever did; harmless after the end."""


class Backend[A: Asked](Protocol):
    """Reads requests and starts answers."""

    def read(self, body: object) -> A:
        """The checked request. Raises `ValidationError`, `BadRequest`."""

    def start(self, asked: A) -> Running:
        """Raises `BadRequest`, `Busy`, `Unavailable` before anything was sent to the client."""

    def describe(self) -> Mapping[str, object]:
        """What `/v1/models` says of this model besides its name."""

    def check(self) -> Mapping[str, object] | None:
        """`ok` and `state` for readiness; None where a process of its own reports by heartbeat."""

    def close(self) -> None:
        """End what runs in the background; for tests."""
