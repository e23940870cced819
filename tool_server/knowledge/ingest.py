"""Ingesting files: found, read, cut, stored, indexed; what is refused is named. Called by the command."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tool_server.errors import BadRequest
from tool_server.knowledge.cut import cut
from tool_server.knowledge.document import Document
from tool_server.knowledge.read import READERS, Unreadable, read
from tool_server.knowledge.search import Knowledge

BASE = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


@dataclass
class Report:
    """What became of the files."""

    files: int = 0
    documents: int = 0
    changed: int = 0
    refused: list[tuple[Path, str]] = field(default_factory=list)


def ingest(
    knowledge: Knowledge,
    base: str,
    paths: Sequence[Path],
    progress: Callable[[Path], None] = lambda _path: None,
) -> Report:
    """Store and index the documents of these files and folders. Raises `BadRequest`, and `IndexBusy`.

    Each batch is on disk before the next is read: after a kill the same call goes on where it was.
    """
    if not BASE.fullmatch(base):
        raise BadRequest(
            "A base's name has 1 to 64 small letters, digits, '-' and '_'.", param="base"
        )
    report = Report()
    batch: list[Document] = []
    for path, source_id in find_files(paths, report):
        progress(path)
        for document in _read(knowledge, path, source_id, report):
            batch.append(document)
            if len(batch) >= knowledge.settings.knowledge_batch_documents:
                _store(knowledge, base, batch, report)
    _store(knowledge, base, batch, report)
    knowledge.index.sync(knowledge.catalogue)
    return report


def find_files(paths: Iterable[Path], report: Report) -> Iterator[tuple[Path, str]]:
    """Files with the source id under which they are known: their path below the folder that was named."""
    for path in paths:
        if path.is_dir():
            for file in sorted(file for file in path.rglob("*") if file.is_file()):
                if file.suffix.lower() in READERS:
                    yield file, file.relative_to(path).as_posix()
                elif not file.name.startswith("."):
                    report.refused.append((file, f"files of the kind {file.suffix!r} are not read"))
        elif path.is_file():
            yield path, path.name
        else:
            report.refused.append((path, "there is no such file"))


def _read(knowledge: Knowledge, path: Path, source_id: str, report: Report) -> list[Document]:
    """All documents of a file, or none and a reason."""
    try:
        documents = list(read(path, source_id, limit=knowledge.settings.knowledge_file_limit))
    except Unreadable as error:
        report.refused.append((path, str(error)))
        return []
    except OSError as error:
        report.refused.append((path, f"it cannot be opened: {error.strerror}"))
        return []
    report.files += 1
    report.documents += len(documents)
    return documents


def _store(knowledge: Knowledge, base: str, batch: list[Document], report: Report) -> None:
    if not batch:
        return
    limit = knowledge.settings.knowledge_passage_characters
    pieces = {document.source_id: cut(document, limit) for document in batch}
    report.changed += knowledge.catalogue.put(base, batch, pieces)
    batch.clear()
