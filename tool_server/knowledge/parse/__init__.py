"""From a file to documents: what ingestion calls. Whatever cannot be read raises `Unreadable`, which says why.

Files come from strangers, and their parsers are large: they run in a child process with little memory and time
(`child`), whose answers are checked here. A file that crashes, hangs or swells it costs that file only.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from tool_server.knowledge.document import Document
from tool_server.knowledge.parse.check import Checked
from tool_server.knowledge.parse.kinds import KINDS
from tool_server.knowledge.parse.limits import Limits
from tool_server.knowledge.parse.process import Child, Died, TooSlow
from tool_server.knowledge.parse.unreadable import Unreadable
from tool_server.knowledge.parse.wire import Documents, Read, Refused, WireError

if TYPE_CHECKING:  # the child begins with this module, and needs no settings
    from tool_server.settings import Settings

__all__ = ["Parser", "Unreadable"]


class Parser:
    """Reads files one after the other, in one thread that lives on; `with Parser(settings) as parser:`."""

    def __init__(self, settings: "Settings") -> None:
        self._limits = Limits.of(settings)
        self._memory_mb = settings.knowledge_parse_memory_mb
        self._files = settings.knowledge_parse_files
        self._child: Child | None = None

    def __enter__(self) -> "Parser":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def documents(self, path: Path, source_id: str) -> Iterator[Document]:
        """The documents in a file, one after the other. Raises `Unreadable`, before the first or in the middle.

        Those of one file have the source id, or the source id with "#…" or "/…" behind it; each comes once.
        """
        suffix = path.suffix.lower()
        if suffix not in KINDS:
            raise Unreadable(f"files of the kind {path.suffix or path.name!r} are not read")
        child = self._ready()
        whole = False
        try:
            yield from self._read(child, path, source_id)
            whole = True
        except _Refusal as refusal:
            whole = True
            raise Unreadable(str(refusal)) from None
        except Died as error:
            raise Unreadable(self._crash(error)) from None
        except TooSlow:
            raise Unreadable(f"it took more than {self._limits.parse_s} s to read") from None
        except WireError as error:
            raise Unreadable(f"its parser answers with nonsense: {error}") from None
        finally:
            if not whole:
                self._end()

    def _read(self, child: Child, path: Path, source_id: str) -> Iterator[Document]:
        child.ask(Read(os.fsencode(path.absolute()).hex(), source_id, self._limits))
        checked = Checked(source_id, self._limits)
        while isinstance(answer := child.answer(), Documents):
            for document in answer.documents:
                checked.take(document)
                yield document
        if isinstance(answer, Refused):
            raise _Refusal(checked.reason(answer.reason))

    def _ready(self) -> Child:
        if self._child is not None and self._child.files >= self._files:
            self._end()
        if self._child is None:
            self._child = Child(self._memory_mb)
        return self._child

    def _end(self) -> None:
        if self._child is not None:
            self._child.stop()
            self._child = None

    def _crash(self, error: Died) -> str:
        if error.how == "SIGXCPU":
            return f"it took more than {self._limits.parse_s} s to read"
        if error.how == "out of memory":
            return f"it needs more than {self._memory_mb} MB of memory to read"
        return (
            f"its parser crashed ({error.how}): the file is damaged, "
            f"or needs more than {self._memory_mb} MB of memory"
        )


class _Refusal(Exception):
    """The child said so, and can go on."""
