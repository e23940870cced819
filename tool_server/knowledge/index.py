"""The embedded index on tantivy: derived from the catalogue, brought up to it by `sync`, searched by `search`.

One writer at a time (a file lock), readers in any process. A writer that dies loses nothing: the number of the last
change that the index holds is written after each commit, and the next `sync` goes on from there.
"""

import fcntl
import json
import math
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import tantivy

from tool_server.knowledge.catalogue import Catalogue
from tool_server.knowledge.tokens import tokenize

# What a folder was made for; another value means that it has to be built anew.
FORMAT = f"1-{version('tantivy')}"
WRITER_BYTES = 64 * 1024 * 1024
CHANGES_PER_COMMIT = 500
# The largest value of BM25's term-frequency part: k1 + 1 with tantivy's k1 of 1.2.
HIGHEST_TERM_SCORE = 2.2


class IndexBusy(Exception):
    """Another process writes the index."""


@dataclass(frozen=True)
class _Current:
    """Which folder holds the index, and the last change in it."""

    folder: str
    sequence: int
    format: str


@dataclass(frozen=True)
class Hit:
    """A passage with its score in 0..1: its BM25 score by the highest that this question could have."""

    passage_id: str
    score: float


class Lexical:
    """The index below `folder`; open one per process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._opened: tuple[str, int, tantivy.Index] | None = None

    def applied(self) -> int:
        """Number of the last change that the index holds; -1 where there is none of today's format."""
        current = self._current()
        return -1 if current is None else current.sequence

    def sync(
        self, catalogue: Catalogue, progress: Callable[[int], None] = lambda _done: None
    ) -> None:
        """Take over what changed in the catalogue. Raises `IndexBusy` when another process is at it."""
        with self._writing():
            current = self._current()
            if current is None:
                name, sequence = self._new_folder(), 0
            else:
                name, sequence = current.folder, current.sequence
            index = tantivy.Index(_schema(), path=str(self._folder / name))
            writer = index.writer(WRITER_BYTES, 1)
            while changes := catalogue.changes(sequence, CHANGES_PER_COMMIT):
                _write(writer, catalogue, [change.document_id for change in changes])
                writer.commit()
                sequence = changes[-1].sequence
                self._set_current(name, sequence)
                progress(len(changes))
            writer.wait_merging_threads()
            if current is None:
                self._set_current(name, sequence)

    def search(
        self, tokens: Sequence[str], *, base: str | None, limit: int, title_weight: float
    ) -> list[Hit]:
        """The best passages for a question's tokens, best first; nothing where there is no index yet."""
        index = self._reader()
        if index is None or not tokens:
            return []
        searcher = index.searcher()
        schema = index.schema
        found = searcher.search(_query(schema, tokens, base, title_weight), limit, count=False)
        highest = sum(self.weights(tokens).values()) * HIGHEST_TERM_SCORE * (1 + title_weight)
        return [
            Hit(str(searcher.doc(address)["id"][0]), min(1.0, float(score) / highest))
            for score, address in found.hits
        ]

    def weights(self, tokens: Sequence[str]) -> dict[str, float]:
        """How much each token tells (BM25's idf); one that no passage holds tells most."""
        index = self._reader()
        if index is None:
            return dict.fromkeys(tokens, 1.0)
        searcher = index.searcher()
        total = searcher.num_docs
        return {token: _idf(searcher.doc_freq("content", token), total) for token in tokens}

    def _reader(self) -> "tantivy.Index | None":
        """The index as it is now; opened anew where a commit or a new folder came."""
        current = self._current()
        if current is None:
            return None
        name, sequence = current.folder, current.sequence
        with self._lock:
            if self._opened is None or self._opened[0] != name:
                self._opened = (name, sequence, tantivy.Index.open(str(self._folder / name)))
            elif self._opened[1] != sequence:
                self._opened[2].reload()
                self._opened = (name, sequence, self._opened[2])
            return self._opened[2]

    def _current(self) -> _Current | None:
        try:
            current = _Current(**json.loads((self._folder / "current.json").read_text()))
        except FileNotFoundError:
            return None
        exists = (self._folder / current.folder / "meta.json").exists()
        return current if current.format == FORMAT and exists else None

    def _set_current(self, name: str, sequence: int) -> None:
        draft = self._folder / f"current.{os.getpid()}"
        draft.write_text(json.dumps(asdict(_Current(name, sequence, FORMAT))))
        draft.replace(self._folder / "current.json")

    def _new_folder(self) -> str:
        """An empty folder beside the old ones, which go: whoever reads them has them open."""
        for old in self._folder.glob("lexical-*"):
            shutil.rmtree(old, ignore_errors=True)
        name = f"lexical-{os.getpid()}-{os.urandom(3).hex()}"
        (self._folder / name).mkdir()
        return name

    @contextmanager
    def _writing(self) -> Iterator[None]:
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "writer.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise IndexBusy("Another process is writing the index.") from None
            yield


def _schema() -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    builder.add_text_field("id", stored=True, tokenizer_name="raw")
    builder.add_text_field("document", tokenizer_name="raw", index_option="basic")
    builder.add_text_field("base", tokenizer_name="raw", index_option="basic")
    builder.add_text_field("content", tokenizer_name="whitespace", index_option="freq")
    builder.add_text_field("title", tokenizer_name="whitespace", index_option="freq")
    return builder.build()


def _write(writer: tantivy.IndexWriter, catalogue: Catalogue, ids: Sequence[str]) -> None:
    """Exchange the passages of these documents."""
    for document in ids:
        writer.delete_documents_by_term("document", document)
    for passage in catalogue.passages_of(ids):
        writer.add_document(
            tantivy.Document(
                id=passage.id,
                document=passage.document_id,
                base=passage.base,
                content=" ".join(tokenize(passage.text)),
                title=" ".join(tokenize(passage.title)),
            )
        )


def _query(
    schema: tantivy.Schema, tokens: Sequence[str], base: str | None, title_weight: float
) -> tantivy.Query:
    """Any of the tokens in content or title; built of term queries, so that no character of a question is syntax."""
    should = tantivy.Occur.Should
    terms = [(should, _term(schema, "content", token)) for token in tokens]
    if title_weight:
        for token in tokens:
            boosted = tantivy.Query.boost_query(_term(schema, "title", token), title_weight)
            terms.append((should, boosted))
    anywhere = tantivy.Query.boolean_query(terms)
    if base is None:
        return anywhere
    within = tantivy.Query.const_score_query(
        tantivy.Query.term_query(schema, "base", base, index_option="basic"), 0.0
    )
    must = tantivy.Occur.Must
    return tantivy.Query.boolean_query([(must, within), (must, anywhere)])


def _term(schema: tantivy.Schema, field: str, token: str) -> tantivy.Query:
    return tantivy.Query.term_query(schema, field, token, index_option="freq")


def _idf(frequency: int, total: int) -> float:
    return math.log(1 + (total - frequency + 0.5) / (frequency + 0.5))
