"""Bringing the index up to the catalogue; for `ingest`, and for `repair` after a kill.

One writer at a time, by a file lock that its process's death frees. Nothing that was acknowledged can be lost: the
catalogue is written first, the number of the last change that the index holds after each of its commits, and the next
writer goes on from there. Where the two disagree, the index is built anew beside the old one, which serves until then.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager

import tantivy

from tool_server.knowledge.catalogue import Catalogue, Change
from tool_server.knowledge.index.folder import IndexFolder
from tool_server.knowledge.index.lock import alone
from tool_server.knowledge.tokens import tokenize

WRITER_BYTES = 64 * 1024 * 1024
# A commit leaves a segment, and merging segments costs more than filling them.
CHANGES_PER_COMMIT = 2000
CHANGES_AT_ONCE = 200  # whose passages are in memory


@contextmanager
def writing(
    folder: IndexFolder, catalogue: Catalogue, *, wait_s: float = 0.0
) -> Iterator["IndexWriter"]:
    """The only writer, with the index brought up to the catalogue. Raises `IndexBusy` after `wait_s`."""
    with alone(folder.lock, wait_s), closing(IndexWriter(folder, catalogue)) as writer:
        writer.open()
        yield writer


def rebuilding(
    folder: IndexFolder,
    catalogue: Catalogue,
    progress: Callable[[int, int], None],
    *,
    wait_s: float = 0.0,
) -> None:
    """Make the index anew. Raises `IndexBusy` after `wait_s`."""
    with alone(folder.lock, wait_s), closing(IndexWriter(folder, catalogue, progress)) as writer:
        writer.rebuild()


class IndexWriter:
    """Made by `writing`: its lock is held."""

    def __init__(
        self,
        folder: IndexFolder,
        catalogue: Catalogue,
        progress: Callable[[int, int], None] = lambda _done, _all: None,
    ) -> None:
        self._folder = folder
        self._catalogue = catalogue
        self._progress = progress
        self._name, self._sequence = "", 0
        self._writer: tantivy.IndexWriter | None = None

    def open(self) -> None:
        """Go on with the current build, or make one anew where it is missing, damaged, or not of this catalogue."""
        build = self._folder.current()
        index = None if build is None else self._folder.open(build.name)
        if build is None or index is None or build.sequence > self._catalogue.sequence():
            self.rebuild()
            return
        self._folder.keep_only(build.name)  # what a killed rebuild left
        self._name, self._sequence = build.name, build.sequence
        self.sync()
        index.reload()
        if index.searcher().num_docs != self._catalogue.passage_count():
            self.rebuild()

    def sync(self) -> None:
        """Take over what changed in the catalogue since."""
        self._sequence = self._take_over(self._name, self._sequence, publish=True)
        self._catalogue.prune(self._sequence)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.wait_merging_threads()
            self._writer = None

    def rebuild(self) -> None:
        """A whole new build; searches have the old one until it is complete."""
        self.close()
        name = self._folder.create(build_schema())
        sequence = self._take_over(name, 0, publish=False)
        self._folder.publish(name, sequence)
        self._folder.keep_only(name)
        self._name, self._sequence = name, sequence

    def _take_over(self, name: str, sequence: int, *, publish: bool) -> int:
        """Write the changes after `sequence`, commit by commit; the number of the last one."""
        while changes := self._catalogue.changes(sequence, CHANGES_PER_COMMIT):
            writer = self._writer_of(name)
            for at in range(0, len(changes), CHANGES_AT_ONCE):
                self._write(writer, changes[at : at + CHANGES_AT_ONCE])
            writer.commit()
            sequence = changes[-1].sequence
            if publish:
                self._folder.publish(name, sequence)
            self._progress(sequence, max(sequence, self._catalogue.sequence()))
        return sequence

    def _writer_of(self, name: str) -> "tantivy.IndexWriter":
        if self._writer is None:
            index = self._folder.open(name)
            if index is None:
                raise OSError("The index cannot be opened.")
            self._writer = index.writer(WRITER_BYTES, 1)
        return self._writer

    def _write(self, writer: "tantivy.IndexWriter", changes: Sequence[Change]) -> None:
        """Exchange the passages of these documents."""
        ids = [change.document_id for change in changes]
        for document in ids:
            writer.delete_documents_by_term("document", document)
        for passage in self._catalogue.passages_of(ids):
            writer.add_document(
                tantivy.Document(
                    id=passage.id,
                    document=passage.document_id,
                    base=passage.base,
                    language=passage.language,
                    access=list(passage.access),
                    content=" ".join(tokenize(passage.text)),
                    title=" ".join(tokenize(passage.title)),
                )
            )


def build_schema() -> "tantivy.Schema":
    builder = tantivy.SchemaBuilder()
    builder.add_text_field("id", stored=True, tokenizer_name="raw")
    builder.add_text_field("document", tokenizer_name="raw", index_option="basic")
    builder.add_text_field("base", stored=True, tokenizer_name="raw", index_option="basic")
    builder.add_text_field("language", stored=True, tokenizer_name="raw", index_option="basic")
    builder.add_text_field("access", stored=True, tokenizer_name="raw", index_option="basic")
    builder.add_text_field("content", tokenizer_name="whitespace", index_option="freq")
    builder.add_text_field("title", tokenizer_name="whitespace", index_option="freq")
    return builder.build()
