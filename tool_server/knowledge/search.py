"""The question path: a question becomes tokens, the index finds passages, the catalogue gives their text.

Called by the routes, for the tool as for every other door: one retrieval function and one result for all.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

from tool_server.errors import BadRequest, NotFound, Unavailable
from tool_server.knowledge.bases import Profile
from tool_server.knowledge.catalogue import Catalogue
from tool_server.knowledge.document import StoredPassage
from tool_server.knowledge.filters import Filter
from tool_server.knowledge.index import Fields, Hit, Index, Scope
from tool_server.knowledge.index.choose import open_index
from tool_server.knowledge.rights import PUBLIC, sees
from tool_server.knowledge.tokens import distinct, telling, tokenize
from tool_server.settings import Settings

type Mode = Literal["auto", "lexical", "hybrid"]


@dataclass(frozen=True)
class Question:
    """What is looked for, where, and by whom: `rights` come from the ticket or the key, never from a request's body."""

    query: str
    bases: tuple[str, ...] = ()  # none: all that may be seen
    top_k: int = 5
    threshold: float = 0.0
    mode: Mode = "auto"
    filter: Filter | None = None
    language: str = ""  # "zh" or "en"; none: both
    rights: frozenset[str] = frozenset({PUBLIC})


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
    document_title: str = ""
    heading: str = ""
    page: int | None = None


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
    index: Index

    @classmethod
    def open(cls, settings: Settings) -> "Knowledge":
        return cls(settings, Catalogue.open(settings), open_index(settings))


def search(knowledge: Knowledge, question: Question) -> Result:
    """The best passages for a question. Raises `BadRequest`, `NotFound` (an unknown base) and `Unavailable`."""
    check(knowledge, question)
    tokens = distinct(question.query, knowledge.settings.knowledge_query_tokens)
    scope = scope_of(knowledge, question)
    hits = knowledge.index.search(tokens, scope, limit=question.top_k)
    stored = visible(knowledge.catalogue.passages([hit.passage_id for hit in hits]), scope)
    found = covers(knowledge, tokens, list(stored.values()))
    return Result(found, build(hits, stored))


def check(knowledge: Knowledge, question: Question) -> None:
    """Refuse what cannot be searched for, naming the field; and to search while the index is being built."""
    settings = knowledge.settings
    if not question.query.strip():
        raise BadRequest("query: must not be empty.", param="query")
    if len(question.query) > settings.knowledge_query_characters:
        limit = settings.knowledge_query_characters
        raise BadRequest(f"query: at most {limit} characters.", param="query")
    if not 1 <= question.top_k <= settings.knowledge_top_k_limit:
        limit = settings.knowledge_top_k_limit
        raise BadRequest(f"top_k: from 1 to {limit}.", param="top_k")
    if knowledge.index.applied() < 0 and knowledge.catalogue.sequence():
        raise Unavailable("The index is being built; search again in a moment.", retry_after=5)


def scope_of(knowledge: Knowledge, question: Question) -> Scope:
    """What may be seen of what was asked for. A base that may not be seen is not there: the error does not tell."""
    profiles = knowledge.catalogue.profiles()
    seen = {name: at for name, at in profiles.items() if sees(question.rights, at.access)}
    for name in question.bases:
        if name not in seen:
            raise NotFound(f"There is no knowledge base {name[:64]!r}.", param="base")
    names: Iterable[str] = question.bases or seen
    weight = knowledge.settings.knowledge_title_weight
    return Scope(
        bases={name: fields_of(seen[name], weight) for name in names},
        rights=question.rights,
        filter=question.filter,
        languages=frozenset(filter(None, [question.language])),
    )


def fields_of(profile: Profile, title_weight: float) -> Fields:
    own = profile.title_weight
    return Fields(title_weight if own is None else own, profile.content_weight)


def visible(stored: dict[str, StoredPassage], scope: Scope) -> dict[str, StoredPassage]:
    """Without what this asker may no longer see: the catalogue is the truth, an index may be a moment behind it."""
    return {
        name: passage
        for name, passage in stored.items()
        if passage.base in scope.bases and sees(scope.rights, passage.access)
    }


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
            document_title=passage.document_title,
            heading=passage.heading,
            page=passage.page,
        )
        for hit in hits
        if (passage := stored.get(hit.passage_id)) is not None
    )


def _held(weights: dict[str, float], passage: StoredPassage) -> float:
    held = set(tokenize(passage.title)) | set(tokenize(passage.text))
    return sum(weight for token, weight in weights.items() if token in held)
