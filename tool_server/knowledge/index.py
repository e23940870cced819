"""The embedded index on tantivy, searched by `search` in any process; `index_writer` keeps it up to the catalogue."""

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tantivy

from tool_server.knowledge.index_folder import IndexFolder

# The largest value of BM25's term-frequency part: k1 + 1 with tantivy's k1 of 1.2.
HIGHEST_TERM_SCORE = 2.2


@dataclass(frozen=True)
class Hit:
    """A passage with its score in 0..1: its BM25 score by the highest that this question could have."""

    passage_id: str
    score: float


class Lexical:
    """The index below `path`; open one per process. A commit of any process is seen by the next search."""

    def __init__(self, path: Path) -> None:
        self.folder = IndexFolder(path)
        self._lock = threading.Lock()
        self._opened: _Opened | None = None

    def applied(self) -> int:
        """Number of the last change that the index holds; -1 where there is none that can be searched."""
        opened = self._open()
        return -1 if opened is None else opened.sequence

    def passage_count(self) -> int:
        opened = self._open()
        return 0 if opened is None else int(opened.index.searcher().num_docs)

    def search(
        self, tokens: Sequence[str], *, base: str | None, limit: int, title_weight: float
    ) -> list[Hit]:
        """The best passages for a question's tokens, best first; nothing where there is no index yet."""
        opened = self._open()
        if opened is None or not tokens:
            return []
        searcher = opened.index.searcher()
        schema = opened.index.schema
        found = searcher.search(_query(schema, tokens, base, title_weight), limit, count=False)
        highest = sum(self.weights(tokens).values()) * HIGHEST_TERM_SCORE * (1 + title_weight)
        return [
            Hit(str(searcher.doc(address)["id"][0]), min(1.0, float(score) / highest))
            for score, address in found.hits
        ]

    def weights(self, tokens: Sequence[str]) -> dict[str, float]:
        """How much each token tells (BM25's idf); one that no passage holds tells most."""
        opened = self._open()
        if opened is None:
            return dict.fromkeys(tokens, 1.0)
        searcher = opened.index.searcher()
        total = searcher.num_docs
        return {token: _idf(searcher.doc_freq("content", token), total) for token in tokens}

    def _open(self) -> "_Opened | None":
        """The index as it is now, opened anew after a commit; None where it is missing or damaged."""
        current = self.folder.current()
        if current is None:
            return None
        with self._lock:
            opened = self._opened
            if opened is None or (opened.name, opened.sequence) != (current.name, current.sequence):
                index = self.folder.open(current.name)
                opened = None if index is None else _Opened(current.name, current.sequence, index)
                self._opened = opened
            return opened


@dataclass(frozen=True)
class _Opened:
    """A build that this process searches, as it was after one change."""

    name: str
    sequence: int
    index: "tantivy.Index"


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
