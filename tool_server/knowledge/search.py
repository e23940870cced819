"""The question path: a question becomes tokens, the index finds passages, the catalogue gives their text.

Called by the routes, for the tool as for every other door: one retrieval function and one result for all.
"""

from dataclasses import asdict, dataclass

from tool_server.errors import BadRequest, NotFound, Unavailable
from tool_server.knowledge.catalogue import Catalogue
from tool_server.knowledge.document import StoredPassage
from tool_server.knowledge.index import Hit, Lexical
from tool_server.knowledge.tokens import distinct, telling, tokenize
from tool_server.settings import Settings


@dataclass(frozen=True)
class Passage:
    """A passage that was found, with where it stands and how well it fits (0..1, comparable within one question)."""

    content: str
    title: str
    score: float
    document_id: str
    source_id: str
    segment_id: str
    url: str
    base: str


@dataclass(frozen=True)
class Result:
    """`found`: the best passages cover the question. Weaker ones come all the same, for who wants to see them."""

    found: bool
    passages: tuple[Passage, ...]

    def as_json(self) -> dict[str, object]:
        return {"found": self.found, "passages": [asdict(passage) for passage in self.passages]}


@dataclass(frozen=True)
class Knowledge:
    """What a search needs: the catalogue, its index, the measured weights."""

    settings: Settings
    catalogue: Catalogue
    index: Lexical

    @classmethod
    def open(cls, settings: Settings) -> "Knowledge":
        return cls(settings, Catalogue.open(settings), Lexical(settings.data_dir / "index"))


def search(knowledge: Knowledge, query: str, *, base: str | None, top_k: int) -> Result:
    """The best passages for a question. Raises `BadRequest`, `NotFound` (an unknown base) and `Unavailable`."""
    check(knowledge, query, base, top_k)
    tokens = distinct(query, knowledge.settings.knowledge_query_tokens)
    hits = retrieve(knowledge, tokens, base, top_k)
    stored = knowledge.catalogue.passages([hit.passage_id for hit in hits])
    found = covers(knowledge, tokens, list(stored.values()))
    return Result(found, build(hits, stored))


def check(knowledge: Knowledge, query: str, base: str | None, top_k: int) -> None:
    """Refuse what cannot be searched for, naming the field; and to search while the index is being built."""
    settings = knowledge.settings
    if not query.strip():
        raise BadRequest("query: must not be empty.", param="query")
    if len(query) > settings.knowledge_query_characters:
        limit = settings.knowledge_query_characters
        raise BadRequest(f"query: at most {limit} characters.", param="query")
    if not 1 <= top_k <= settings.knowledge_top_k_limit:
        limit = settings.knowledge_top_k_limit
        raise BadRequest(f"top_k: from 1 to {limit}.", param="top_k")
    if base is not None and not knowledge.catalogue.has_base(base):
        raise NotFound(f"There is no knowledge base {base[:64]!r}.", param="base")
    if knowledge.index.applied() < 0 and knowledge.catalogue.sequence():
        raise Unavailable("The index is being built; search again in a moment.", retry_after=5)


def retrieve(knowledge: Knowledge, tokens: list[str], base: str | None, top_k: int) -> list[Hit]:
    """The index's best passages."""
    weight = knowledge.settings.knowledge_title_weight
    return knowledge.index.search(tokens, base=base, limit=top_k, title_weight=weight)


def covers(knowledge: Knowledge, tokens: list[str], passages: list[StoredPassage]) -> bool:
    """Whether one passage holds enough of what the question is about.

    With single characters nearly any question matches something, so a score says little: what counts is the share
    of the telling tokens' weight that stands in the passage or its title.
    """
    weights = knowledge.index.weights(telling(tokens))
    total = sum(weights.values())
    if not total:
        return False
    best = max((_held(weights, passage) for passage in passages), default=0.0)
    return best / total >= knowledge.settings.knowledge_found_share


def build(hits: list[Hit], stored: dict[str, StoredPassage]) -> tuple[Passage, ...]:
    """The result's passages; one that was replaced in this moment is left out."""
    return tuple(
        Passage(
            content=passage.text,
            title=passage.title,
            score=round(hit.score, 4),
            document_id=passage.document_id,
            source_id=passage.source_id,
            segment_id=passage.id,
            url=passage.url,
            base=passage.base,
        )
        for hit in hits
        if (passage := stored.get(hit.passage_id)) is not None
    )


def _held(weights: dict[str, float], passage: StoredPassage) -> float:
    held = set(tokenize(passage.title)) | set(tokenize(passage.text))
    return sum(weight for token, weight in weights.items() if token in held)
