"""The embedded index on tantivy, searched by `search` in any process; `writer` keeps it up to the catalogue."""

import math
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import tantivy

from tool_server.knowledge.catalogue import Catalogue
from tool_server.knowledge.filters import Filter
from tool_server.knowledge.index import Fields, Hit, Scope, highest_score
from tool_server.knowledge.index.folder import IndexFolder
from tool_server.knowledge.index.writer import IndexWriter, rebuilding, writing
from tool_server.knowledge.rights import EVERYTHING, INHERITED, sees
from tool_server.knowledge.terms import Term

# How far down the ranking the passages that a filter means are looked for; and the number of documents up to which it
# is faster to make them part of the query (measured: 10 to 20 microseconds each).
DEPTHS = (300, 4000)
FEW_DOCUMENTS = 2000
FILTERS_HELD = 4  # whose documents are remembered
IDF_HELD = 100_000  # tokens
# Share of the index from which a scope is looked for in the open ranking first, and how much deeper than its share.
OPEN_SHARE = 0.4
OPEN_DEPTH = 1.3

type Ranked = tuple[float, str]


class Embedded:
    """The index below `path`; open one per process. A commit of any process is seen by the next search."""

    def __init__(self, path: Path, catalogue: Catalogue | None = None) -> None:
        """`catalogue`: where conditions on metadata are resolved; without one a scope may have none."""
        self.folder = IndexFolder(path)
        self._catalogue = catalogue
        self._known: dict[_Matching, list[str]] = {}
        self._lock = threading.Lock()
        self._opened: _Opened | None = None

    def applied(self) -> int:
        """Number of the last change that the index holds; -1 where there is none that can be searched."""
        opened = self._open()
        return -1 if opened is None else opened.sequence

    def passage_count(self) -> int:
        opened = self._open()
        return 0 if opened is None else int(opened.index.searcher().num_docs)

    def search(self, terms: Sequence[Term], scope: Scope, *, limit: int) -> list[Hit]:
        """The best passages for a question's terms, best first; nothing where there is no index yet."""
        opened = self._open()
        if opened is None or not terms or not scope.bases:
            return []
        best = (
            _best(opened, terms, scope, limit)
            if scope.filter is None
            else self._narrowed(opened, terms, scope, scope.filter, limit)
        )
        highest = highest_score(terms, opened.weights([term.token for term in terms]), scope)
        return [Hit(passage, min(1.0, score / highest)) for score, passage in best]

    def _narrowed(
        self,
        opened: "_Opened",
        terms: Sequence[Term],
        scope: Scope,
        conditions: Filter,
        limit: int,
    ) -> "list[Ranked]":
        """The best passages that the filter means: as if the others were not there.

        Most filters leave much: then it is enough to go down the ranking until `limit` are found. One that leaves
        little is resolved to its documents, and these become part of the query.
        """
        if self._catalogue is None:
            raise ValueError("Conditions need a catalogue.")
        matching = _Matching(conditions, frozenset(scope.bases), self._catalogue.sequence())
        ids = self._known.get(matching)
        for depth in () if ids is not None and len(ids) <= FEW_DOCUMENTS else DEPTHS:
            best = _best(opened, terms, scope, depth)
            meant = self._catalogue.meant(conditions, [passage for _, passage in best])
            kept = [one for one in best if one[1] in meant]
            if len(kept) >= limit or len(best) < depth:
                return kept[:limit]
            ids = self._resolve(matching)
            if len(ids) <= FEW_DOCUMENTS:
                break
        must, schema = tantivy.Occur.Must, opened.index.schema
        within = _within(schema, "document", ids or ())
        query = _query(schema, terms, scope)
        return opened.best(tantivy.Query.boolean_query([(must, query), (must, within)]), limit)

    def _resolve(self, matching: "_Matching") -> list[str]:
        """The documents; those of the last few filters are remembered."""
        known = self._known.get(matching)
        if known is None and self._catalogue is not None:
            known = self._catalogue.matching(matching.conditions, matching.bases)
            self._known = {matching: known, **dict(list(self._known.items())[: FILTERS_HELD - 1])}
        return known or []

    def writing(
        self, catalogue: Catalogue, *, wait_s: float = 0.0
    ) -> AbstractContextManager[IndexWriter]:
        return writing(self.folder, catalogue, wait_s=wait_s)

    def rebuild(
        self, catalogue: Catalogue, progress: Callable[[int, int], None], *, wait_s: float = 0.0
    ) -> None:
        rebuilding(self.folder, catalogue, progress, wait_s=wait_s)

    def close(self) -> None:
        """Nothing is held open but files, which the kernel closes."""

    def weights(self, tokens: Sequence[str]) -> dict[str, float]:
        """How much each token tells (BM25's idf); one that no passage holds tells most."""
        opened = self._open()
        if opened is None:
            return dict.fromkeys(tokens, 1.0)
        return opened.weights(tokens)

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
class _Matching:
    """A filter in these bases, as the catalogue was after one change."""

    conditions: Filter
    bases: frozenset[str]
    sequence: int


@dataclass(frozen=True)
class _Opened:
    """A build that this process searches, as it was after one change."""

    name: str
    sequence: int
    index: "tantivy.Index"
    idf: dict[str, float] = field(default_factory=dict)

    def best(self, query: tantivy.Query, limit: int) -> "list[Ranked]":
        """Score and id of the best passages."""
        return [(score, passage["id"][0]) for score, passage in self.found(query, limit)]

    def found(
        self, query: tantivy.Query, limit: int
    ) -> "Iterator[tuple[float, dict[str, list[str]]]]":
        """Score and stored fields of the best passages."""
        searcher = self.index.searcher()
        for score, at in searcher.search(query, limit, count=False).hits:
            yield float(score), searcher.doc(at).to_dict()

    def share(self, name: str, values: Iterable[str]) -> float:
        """At most what share of the passages has one of the values in this field."""
        searcher = self.index.searcher()
        counted = sum(searcher.doc_freq(name, value) for value in values)
        return float(counted) / max(1, int(searcher.num_docs))

    def weights(self, tokens: Sequence[str]) -> dict[str, float]:
        """BM25's idf; it is remembered, for the same tokens are in many questions."""
        searcher, known = self.index.searcher(), self.idf
        weights = {}
        for token in tokens:
            idf = known.get(token)
            if idf is None:
                idf = _idf(searcher.doc_freq("content", token), searcher.num_docs)
                if len(known) < IDF_HELD:
                    known[token] = idf
            weights[token] = idf
        return weights


def _best(opened: _Opened, terms: Sequence[Term], scope: Scope, limit: int) -> list[Ranked]:
    """The best passages of the scope, as if there were no others.

    A query that holds the scope too looks at each passage with one of the terms; without it tantivy may pass over
    most (measured: 1.2 instead of 3.3 ms). So where the scope is much of the index, the open ranking is tried first.
    """
    kinds, share = set(scope.bases.values()), _share(opened, scope)
    if len(kinds) == 1 and share >= OPEN_SHARE:
        query = _anywhere(opened.index.schema, terms, kinds.pop())
        depth = math.ceil(OPEN_DEPTH * limit / share)
        looked_at = list(opened.found(query, depth))
        best = [(score, passage["id"][0]) for score, passage in looked_at if _holds(scope, passage)]
        if len(best) >= limit or len(looked_at) < depth:
            return best[:limit]
    return opened.best(_query(opened.index.schema, terms, scope), limit)


def _share(opened: _Opened, scope: Scope) -> float:
    """At most what share of the index the scope is, up to 1."""
    shares = [1.0, opened.share("base", scope.bases)]
    if EVERYTHING not in scope.rights:
        shares.append(opened.share("access", [*scope.rights, INHERITED]))
    if scope.languages:
        shares.append(opened.share("language", scope.languages))
    return min(shares)


def _holds(scope: Scope, passage: Mapping[str, list[str]]) -> bool:
    """Whether a passage, by its stored fields, is in the scope: what `_query` says in tantivy's words."""
    return (
        passage["base"][0] in scope.bases
        and sees(scope.rights, passage["access"])
        and (not scope.languages or not scope.languages.isdisjoint(passage["language"]))
    )


def _query(schema: tantivy.Schema, terms: Sequence[Term], scope: Scope) -> tantivy.Query:
    """Any of the terms, and inside the scope; built of term queries, so that no character of a question is syntax."""
    must, should = tantivy.Occur.Must, tantivy.Occur.Should
    alike: dict[Fields, list[str]] = {}
    for base, fields in scope.bases.items():
        alike.setdefault(fields, []).append(base)
    groups = [
        tantivy.Query.boolean_query(
            [(must, _within(schema, "base", bases)), (must, _anywhere(schema, terms, fields))]
        )
        for fields, bases in alike.items()
    ]
    inside = []
    if EVERYTHING not in scope.rights:
        inside.append((must, _within(schema, "access", [*scope.rights, INHERITED])))
    if scope.languages:
        inside.append((must, _within(schema, "language", scope.languages)))
    matching = groups[0]
    if len(groups) > 1:
        matching = tantivy.Query.boolean_query([(should, group) for group in groups])
    return tantivy.Query.boolean_query([*inside, (must, matching)]) if inside else matching


def _anywhere(schema: tantivy.Schema, terms: Sequence[Term], fields: Fields) -> tantivy.Query:
    """Any of the terms in content or title, each with its own and its field's weight."""
    queries = []
    for name, weight in (("content", fields.content), ("title", fields.title)):
        for term in terms:
            if not weight or (name == "title" and not term.names):
                continue
            query = _term(schema, name, term.token)
            weighed = weight * term.weight
            if weighed != 1:
                query = tantivy.Query.boost_query(query, weighed)
            queries.append((tantivy.Occur.Should, query))
    return tantivy.Query.boolean_query(queries)


def _within(schema: tantivy.Schema, field: str, values: Iterable[str]) -> tantivy.Query:
    """The field holds one of the values; counts nothing."""
    any_of = tantivy.Query.term_set_query(schema, field, list(values))
    return tantivy.Query.const_score_query(any_of, 0.0)


def _term(schema: tantivy.Schema, field: str, token: str) -> tantivy.Query:
    return tantivy.Query.term_query(schema, field, token, index_option="freq")


def _idf(frequency: int, total: int) -> float:
    """Passages that were replaced count in `frequency` until their segment is merged, but not in `total`."""
    total = max(total, frequency)
    return math.log(1 + (total - frequency + 0.5) / (frequency + 0.5))
