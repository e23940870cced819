"""What crosses the pipes between `Parser` and its child: frames of a length and one JSON message.

Parent → child: Read. Child → parent: Finished once it has started, and for each Read Documents any number of times,
then Finished or Refused.
"""

import struct
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config

from tool_server.knowledge.document import Document
from tool_server.knowledge.parse.limits import Limits

# Exit status of a child: what is left of its memory would not do for another file.
OUT_OF_MEMORY = 4
LENGTH = struct.Struct(">I")
# JSON may write a character as \uXXXX; the rest is names and numbers around the text.
CHARACTER_BYTES = 6
FRAME_SPARE_BYTES = 16 * 1024 * 1024
STRICT = ConfigDict(extra="forbid", ser_json_inf_nan="null")


class WireError(Exception):
    """The other side sent something that is not of this protocol."""


@with_config(STRICT)
@dataclass(frozen=True)
class Read:
    """A file to read. Its path is hexadecimal: a file's name need not be UTF-8."""

    path: str
    source_id: str
    limits: Limits


@with_config(STRICT)
@dataclass(frozen=True)
class Documents:
    """Some of the file's documents, in their order."""

    documents: tuple[Document, ...]
    kind: Literal["documents"] = "documents"


@with_config(STRICT)
@dataclass(frozen=True)
class Finished:
    """The file is read to its end."""

    kind: Literal["finished"] = "finished"


@with_config(STRICT)
@dataclass(frozen=True)
class Refused:
    """The file is refused, whatever came of it before."""

    reason: str
    kind: Literal["refused"] = "refused"


type Answer = Documents | Finished | Refused

# For mypy a value: it takes this form for a type in some orders of reading the files, and in others not.
_TAGGED: Any = Annotated[Documents | Finished | Refused, Field(discriminator="kind")]

_READ = TypeAdapter(Read)
_ANSWER: TypeAdapter[Answer] = TypeAdapter(_TAGGED)


def frame_limit(limits: Limits) -> int:
    """Bytes that one frame may have: a whole document of the longest kind."""
    return limits.characters * CHARACTER_BYTES + FRAME_SPARE_BYTES


def encode(message: Read | Answer) -> bytes:
    """One frame. Raises `WireError` where a text cannot be written."""
    try:
        adapter: TypeAdapter[Any] = _READ if isinstance(message, Read) else _ANSWER
        body = adapter.dump_json(message)
        return LENGTH.pack(len(body)) + body
    except (ValueError, struct.error) as error:
        raise WireError(str(error)) from None


def decode_read(body: bytes) -> Read:
    return _READ.validate_json(body)


def decode_answer(body: bytes | bytearray) -> Answer:
    """Raises `WireError`."""
    try:
        return _ANSWER.validate_json(body)
    except ValidationError as error:
        raise WireError(f"{error.error_count()} faults in a message") from None
