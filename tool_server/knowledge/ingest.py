"""Ingesting files: found, read, cut, stored, indexed; what is refused is named. Called by the command."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tool_server.errors import BadRequest
from tool_server.knowledge.cut import cut
from tool_server.knowledge.document import BASE_NAME, Document
from tool_server.knowledge.index import Writer
from tool_server.knowledge.parse import Parser, Unreadable
from tool_server.knowledge.search import Knowledge

# A repair of the web process takes a moment; another ingest takes longer than anybody wants to wait without a word.
WAIT_S = 3.0


@dataclass
class Report:
    """What became of the files."""

    files: int = 0
    documents: int = 0
    changed: int = 0
    withdrawn: int = 0
    refused: list[tuple[Path, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Step:
    """How far an ingest is: the file that it reads, and the documents that it has stored."""

    path: Path
    number: int
    files: int
    documents: int


def ingest(
    knowledge: Knowledge,
    base: str,
    paths: Sequence[Path],
    progress: Callable[[Step], None] = lambda _step: None,
) -> Report:
    """Store and index the documents of these files and folders. Raises `BadRequest`, and `IndexBusy`.

    Each batch is on disk and in the index before the next is read: after a kill the same call goes on where it was.
    """
    if not BASE_NAME.fullmatch(base):
        raise BadRequest(
            "A base's name has 1 to 64 small letters, digits, '-' and '_'.", param="base"
        )
    with knowledge.index.writing(knowledge.catalogue, wait_s=WAIT_S) as writer:
        return _Ingest(knowledge, base, writer, progress).run(paths)


class _Ingest:
    """One ingest: fills batches with documents, stores and indexes each."""

    def __init__(
        self,
        knowledge: Knowledge,
        base: str,
        writer: Writer,
        progress: Callable[[Step], None],
    ) -> None:
        self._settings = knowledge.settings
        self._catalogue = knowledge.catalogue
        self._base = base
        self._writer = writer
        self._progress = progress
        self._batch: list[Document] = []
        self._report = Report()

    def run(self, paths: Sequence[Path]) -> Report:
        files = list(find_files(paths, self._report))
        with Parser(self._settings) as parser:
            for number, (path, source_id) in enumerate(files, start=1):
                step = Step(path, number, len(files), self._report.documents)
                self._take(step, source_id, parser)
        self._store()
        return self._report

    def _take(self, step: Step, source_id: str, parser: Parser) -> None:
        """All documents of a file, or none and a reason."""
        self._progress(step)
        try:
            documents = list(parser.documents(step.path, source_id))
        except Unreadable as error:
            self._report.refused.append((step.path, str(error)))
            return
        except OSError as error:
            self._report.refused.append((step.path, f"it cannot be opened: {error.strerror}"))
            return
        self._report.files += 1
        for document in documents:
            self._batch.append(document)
            if len(self._batch) >= self._settings.knowledge_batch_documents:
                self._store()
                self._progress(Step(step.path, step.number, step.files, self._report.documents))
        if step.path.suffix.lower() == ".jsonl":
            self._withdraw(source_id, documents)

    def _store(self) -> None:
        if not self._batch:
            return
        limit = self._settings.knowledge_passage_characters
        pieces = {document.source_id: cut(document, limit) for document in self._batch}
        self._report.changed += self._catalogue.put(self._base, self._batch, pieces)
        self._report.documents += len(self._batch)
        self._batch.clear()
        self._writer.sync()

    def _withdraw(self, source_id: str, documents: Sequence[Document]) -> None:
        """What a line said that is no longer in the file is no longer found."""
        self._store()
        keep = {document.source_id for document in documents}
        self._report.withdrawn += self._catalogue.withdraw(self._base, f"{source_id}#", keep)
        self._writer.sync()


def find_files(paths: Iterable[Path], report: Report) -> Iterator[tuple[Path, str]]:
    """Files with the source id under which they are known: their path below the folder that was named."""
    taken: dict[str, Path] = {}
    for path, source_id in _named(paths, report):
        other = taken.get(source_id)
        if not _is_utf8(source_id):
            report.refused.append((path, "its name is not UTF-8"))
        elif other is None:
            taken[source_id] = path
            yield path, source_id
        elif not path.samefile(other):
            report.refused.append((path, f"{other} has the same name {source_id!r}"))


def _named(paths: Iterable[Path], report: Report) -> Iterator[tuple[Path, str]]:
    for path in paths:
        if path.is_dir():
            for file in _below(path, report):
                yield file, file.relative_to(path).as_posix()
        elif path.is_file():
            yield path, path.name
        else:
            report.refused.append((path, "there is no such file"))


def _below(folder: Path, report: Report) -> Iterator[Path]:
    """The files of a folder and its folders, without hidden ones."""

    def refuse(error: OSError) -> None:
        report.refused.append((Path(error.filename), f"it cannot be opened: {error.strerror}"))

    for root, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            file = Path(root, name)
            if not name.startswith(".") and file.is_file():
                yield file


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
