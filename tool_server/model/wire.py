"""What crosses the border between web and engine: one JSON object a line over a Unix socket; both sides import this.

Web → engine: Submit, Cancel. Engine → web: Hello once, Accepted or Refused for each Submit, then one Step for each
engine step with all the new tokens of this connection's requests.
"""

import json
import socket
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal

from tool_server.model.sockets import WireError, lines

# The engine listens here, below the run directory.
SOCKET = "engine.sock"
# A line holds a whole prompt, or one step's tokens of all requests; longer ones are a fault.
LINE_LIMIT = 16 * 1024 * 1024

FinishReason = Literal["stop", "length", "error"]


@dataclass(frozen=True)
class Thinking:
    """The tokens that open and close a `<think>` block, whether the prompt ends inside one, and its most tokens.

    A `budget` of 0 is no bound.
    """

    start: int
    end: int
    inside: bool
    budget: int


@dataclass(frozen=True)
class Submit:
    """A prompt to go on with. `temperature` 0 is greedy, `top_k` 0 is all; `schema` is a JSON schema or empty."""

    id: str
    prompt: list[int]
    max_tokens: int
    temperature: float
    top_p: float
    top_k: int = 0
    seed: int | None = None
    schema: str = ""
    thinking: Thinking | None = None


@dataclass(frozen=True)
class Cancel:
    """Nobody waits for this request any more."""

    id: str


@dataclass(frozen=True)
class Hello:
    """What the engine has loaded; sent first on each connection."""

    vocabulary: int
    context_tokens: int


@dataclass(frozen=True)
class Accepted:
    id: str


@dataclass(frozen=True)
class Refused:
    """Not taken: "busy" (come back later), "too_long" (never fits), "bad_schema" or "unavailable"."""

    id: str
    code: str
    message: str


@dataclass(frozen=True)
class Finish:
    """The end of a request; `engine_s` from its submission until its last token, in the engine's own time."""

    reason: FinishReason
    engine_s: float
    message: str = ""


@dataclass(frozen=True)
class Step:
    """New tokens by request, and the requests that ended with this step."""

    tokens: Mapping[str, list[int]] = field(default_factory=dict)
    finished: Mapping[str, Finish] = field(default_factory=dict)


type Message = Submit | Cancel | Hello | Accepted | Refused | Step

KINDS: Mapping[str, type[Message]] = {
    kind.__name__: kind for kind in (Submit, Cancel, Hello, Accepted, Refused, Step)
}


def encode(message: Message) -> bytes:
    """One line."""
    body = {"kind": type(message).__name__, **asdict(message)}
    return json.dumps(body, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> Message:
    """The message of one line. Raises `WireError`."""
    try:
        body = json.loads(line)
        kind = KINDS[body.pop("kind")]
        if kind is Step:
            body["finished"] = {name: Finish(**end) for name, end in body["finished"].items()}
        if kind is Submit and body.get("thinking") is not None:
            body["thinking"] = Thinking(**body["thinking"])
        return kind(**body)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WireError(f"not a message of ours: {error}") from None


def read(connection: socket.socket) -> Iterator[Message]:
    """All messages until the other side closes. Raises `WireError`, `OSError`."""
    return map(decode, lines(connection, LINE_LIMIT))
