"""From a file to documents: what ingestion calls. Whatever cannot be read raises `Unreadable`, and the sentence says why."""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from tool_server.knowledge.document import Document
from tool_server.knowledge.parse.read import Unreadable, read
from tool_server.settings import Settings

__all__ = ["Parser", "Unreadable"]


class Parser:
    """Reads files one after the other; `with Parser(settings) as parser:`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def __enter__(self) -> "Parser":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing is open between two files."""

    def documents(self, path: Path, source_id: str) -> Iterator[Document]:
        """The documents in a file, one after the other. Raises `Unreadable`, before the first or in the middle."""
        yield from read(path, source_id, limit=self._settings.knowledge_file_limit)
