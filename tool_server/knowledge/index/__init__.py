"""What a search needs of an index, and what keeps one up to the catalogue: two interfaces, two engines behind.

`embedded` (tantivy, in the data folder) and `elastic` (Elasticsearch 8 and 9) hold the same tokens and rank alike;
`choose` takes one by the settings. An index is derived: whatever it holds can be made again from the catalogue.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from tool_server.knowledge.catalogue import Catalogue
from tool_server.knowledge.filters import Filter
from tool_server.knowledge.rights import PUBLIC
from tool_server.knowledge.terms import Term

__all__ = ["Fields", "Hit", "Index", "IndexBusy", "Scope", "Writer", "highest_score"]

# The largest value of BM25's term-frequency part: k1 + 1, with the k1 of 1.2 that both engines have.
HIGHEST_TERM_SCORE = 2.2


class IndexBusy(Exception):
    """Another process writes the index."""


@dataclass(frozen=True)
class Hit:
    """A passage with its score in 0..1: its BM25 score by the highest that this question could have."""

    passage_id: str
    score: float


@dataclass(frozen=True)
class Fields:
    """Weights of the two fields; a passage's score is their weighted sum."""

    title: float = 0.2
    content: float = 1.0


@dataclass(frozen=True)
class Scope:
    """Which passages a search may return. Made by the server from who asks, never from what a model wrote.

    `bases`: these and no others, each with its fields' weights. `rights`: a passage's access list must hold one.
    """

    bases: Mapping[str, Fields]
    rights: frozenset[str] = frozenset({PUBLIC})
    filter: Filter | None = None
    languages: frozenset[str] = field(default_factory=frozenset)  # none: all


class Writer(Protocol):
    """The only writer of an index; `sync` takes over what changed in the catalogue since."""

    def sync(self) -> None: ...


class Index(Protocol):
    """Passages by tokens. Many threads may call it; each method raises `Unavailable` where the index is away."""

    def applied(self) -> int:
        """Number of the last change that the index holds; -1 where there is none that can be searched."""
        ...

    def passage_count(self) -> int: ...

    def search(self, terms: Sequence[Term], scope: Scope, *, limit: int) -> list[Hit]:
        """The best passages of the scope for a question's distinct terms, best first."""
        ...

    def weights(self, tokens: Sequence[str]) -> dict[str, float]:
        """How much each token tells: BM25's idf over all passages; one that no passage holds tells most."""
        ...

    def writing(
        self, catalogue: Catalogue, *, wait_s: float = 0.0
    ) -> AbstractContextManager[Writer]:
        """The only writer, with the index brought up to the catalogue first. Raises `IndexBusy` after `wait_s`."""
        ...

    def rebuild(
        self, catalogue: Catalogue, progress: Callable[[int, int], None], *, wait_s: float = 0.0
    ) -> None:
        """Make it anew from the catalogue, saying how many of all changes are in; searches have the old one meanwhile.

        Raises `IndexBusy` after `wait_s`.
        """
        ...

    def close(self) -> None: ...


def highest_score(terms: Sequence[Term], weights: Mapping[str, float], scope: Scope) -> float:
    """What no passage can score more than: by it scores come into 0..1."""
    heaviest = max(fields.content + fields.title for fields in scope.bases.values())
    total = sum(term.weight * weights[term.token] for term in terms)
    return total * HIGHEST_TERM_SCORE * heaviest
