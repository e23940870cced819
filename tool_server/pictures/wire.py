"""What goes to the process that draws, and what comes back: a line of JSON, then bytes."""

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from tool_server.pictures.marks import Units


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Annotate(_Message):
    """Draw marks (JSON) over the picture whose bytes follow."""

    job: Literal["annotate"] = "annotate"
    marks: str
    units: Units
    font: str
    pixels: int
    side: int


class Render(_Message):
    """Draw a text as pages."""

    job: Literal["render"] = "render"
    text: str
    title: str
    font: str
    pages: int
    characters: int


class Drawn(_Message):
    """Files of these sizes follow."""

    mime: str
    sizes: tuple[int, ...]
    truncated: bool = False


class Refused(_Message):
    """The caller's picture, text or marks cannot be drawn, or `away`: the server lacks something."""

    message: str
    field: str | None = None
    away: bool = False


class Asked(_Message):
    """The line that the process reads."""

    asked: Annotate | Render


class Answered(_Message):
    """The line that it writes."""

    answered: Drawn | Refused


def framed(message: Asked | Answered, *files: bytes) -> bytes:
    """A message with the files that belong to it."""
    return b"".join((message.model_dump_json().encode(), b"\n", *files))


def split_files(data: bytes, sizes: Sequence[int]) -> list[bytes]:
    """The files of these sizes. Raises `ValueError` where there are fewer bytes, or more."""
    if sum(sizes) != len(data):
        raise ValueError("the files have another size")
    files, begin = [], 0
    for size in sizes:
        files.append(data[begin : begin + size])
        begin += size
    return files
