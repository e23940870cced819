"""Reading one file, in the child: opened, its kind told, given to its reader, which is imported when it is needed."""

import os
import stat
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

from tool_server.knowledge.document import Document
from tool_server.knowledge.parse.file import File
from tool_server.knowledge.parse.kinds import kind_of
from tool_server.knowledge.parse.limits import Limits
from tool_server.knowledge.parse.unreadable import Unreadable

type Reader = Callable[[File], Iterator[Document]]


def read(path: Path, source_id: str, limits: Limits) -> Iterator[Document]:
    """The documents in a file. Raises `Unreadable`, `OSError`, and whatever a parser raises."""
    return read_content(File(path.name, source_id, _content(path, limits.file_bytes), limits))


def read_content(file: File) -> Iterator[Document]:
    """The same for bytes that are here already, as a mail's attachment is."""
    kind = kind_of(Path(file.name).suffix.lower(), file.content, file.limits)
    reader: Reader = import_module(f"{__package__}.formats.{kind}_file").read
    return reader(file)


def _content(path: Path, limit: int) -> bytes:
    """A file's bytes. Not to block is for a pipe that has a file's name, and that nobody writes to."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Unreadable("it is not a file")
    with os.fdopen(descriptor, "rb") as opened:
        content = opened.read(limit + 1)
    if len(content) > limit:
        raise Unreadable(f"it has more than {limit} bytes")
    return content
