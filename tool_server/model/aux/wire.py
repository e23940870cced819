"""What crosses the border between web and aux process: one JSON object a line over a Unix socket.

Web → aux: Embed, Score, Transcribe, Judge, Cancel. Aux → web: one answer for each, of the kind that was asked for, or
Refused. Tokens in, numbers, tokens or text out; long things are base64.
"""

import base64
import json
import socket
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Literal

from tool_server.model.sockets import WireError, lines

# A line holds a whole recording (40 MB at most, as base64), or the vectors of one request.
LINE_LIMIT = 64 * 1024 * 1024

# The socket's name in the run folder.
SOCKET = "aux.sock"

type RefusedCode = Literal["busy", "loading", "not_loaded", "not_served", "bad_input", "failed"]


@dataclass(frozen=True)
class Embed:
    """Texts to turn into vectors, as tokens."""

    id: str
    inputs: list[list[int]]


@dataclass(frozen=True)
class Score:
    """Pairs of query and document, as tokens; `types` tells the two apart where the model looks at that, else empty."""

    id: str
    inputs: list[list[int]]
    types: list[list[int]]


@dataclass(frozen=True)
class Transcribe:
    """A recording as it came (base64); without `language` the model listens for it; `temperature` 0 is greedy."""

    id: str
    audio: str
    language: str | None
    temperature: float


@dataclass(frozen=True)
class Judge:
    """A rendered prompt for the guard, as tokens."""

    id: str
    prompt: list[int]
    max_tokens: int


@dataclass(frozen=True)
class Cancel:
    """Nobody waits for this request any more."""

    id: str


@dataclass(frozen=True)
class Vectors:
    """One vector per input, one after the other: little-endian float32 as base64."""

    id: str
    dimensions: int
    data: str

    def each(self) -> list[bytes]:
        """The bytes of each vector."""
        whole, size = base64.b64decode(self.data), self.dimensions * 4
        return [whole[at : at + size] for at in range(0, len(whole), size)]


@dataclass(frozen=True)
class Scores:
    """One number in 0..1 per pair."""

    id: str
    scores: list[float]


@dataclass(frozen=True)
class Segment:
    """A part of a recording, in seconds, and what was said in it."""

    start: float
    end: float
    text: str


@dataclass(frozen=True)
class Transcript:
    id: str
    seconds: float
    segments: list[Segment]


@dataclass(frozen=True)
class Tokens:
    """What the guard wrote."""

    id: str
    tokens: list[int]


@dataclass(frozen=True)
class Refused:
    """Not done. Only `bad_input` and `not_served` are the caller's to mend; the others pass with time."""

    id: str
    code: RefusedCode
    message: str
    retry_after_s: int = 0


type Command = Embed | Score | Transcribe | Judge | Cancel
type Answer = Vectors | Scores | Transcript | Tokens | Refused

KINDS: Mapping[str, type[Command | Answer]] = {
    kind.__name__: kind
    for kind in (
        Embed,
        Score,
        Transcribe,
        Judge,
        Cancel,
        Vectors,
        Scores,
        Transcript,
        Tokens,
        Refused,
    )
}


def encode(message: Command | Answer) -> bytes:
    """One line."""
    body = {"kind": type(message).__name__, **asdict(message)}
    return json.dumps(body, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> Command | Answer:
    """The message of one line. Raises `WireError`."""
    try:
        body = json.loads(line)
        kind = KINDS[body.pop("kind")]
        if kind is Transcript:
            body["segments"] = [Segment(**segment) for segment in body["segments"]]
        return kind(**body)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WireError(f"not a message of ours: {error}") from None


def read(connection: socket.socket) -> Iterator[Command | Answer]:
    """All messages until the other side closes. Raises `WireError`, `OSError`."""
    return map(decode, lines(connection, LINE_LIMIT))
