"""The question path: a question becomes tokens, the index finds passages, the catalogue gives their text.

Called by the routes, for the tool as for every other door: one retrieval function and one result for all.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry

from tool_server.errors import BadRequest, NotFound, Unavailable
from tool_server.knowledge.bases import Profile
from tool_server.knowledge.catalogue import Catalogue, Known
from tool_server.knowledge.document import StoredPassage
from tool_server.knowledge.entries import Entry, entries
from tool_server.knowledge.filters import matches
from tool_server.knowledge.foreign_index import ForeignAccess
from tool_server.knowledge.highlight import highlight
from tool_server.knowledge.index import Fields, Index, Scope
from tool_server.knowledge.index.choose import open_index
from tool_server.knowledge.legs import Legs, Ranked
from tool_server.knowledge.pinned import pinned
from tool_server.knowledge.places import held
from tool_server.knowledge.present import present
from tool_server.knowledge.question import Copy, Mode, Passage, Question, Result
from tool_server.knowledge.rerank import Reranker
from tool_server.knowledge.rights import sees
from tool_server.knowledge.terms import Term, terms
from tool_server.knowledge.tokens import telling
from tool_server.knowledge.vectors.leg import VectorLeg
from tool_server.settings import Settings

__all__ = ["Knowledge", "Mode", "Passage", "Question", "Result", "search"]

# Neighbours of a passage that are read with it, on each side: its section may be shown instead of it.
AROUND = 8
# So many more passages than asked for are looked at: near-duplicates and those of one section make room.
MORE = 5
MANY = 8


@dataclass(frozen=True)
class Knowledge:
    """What a search needs: the catalogue, its index, the measured weights.

    `note_miss` takes each question that found nothing, where somebody wants to know.
    """

    settings: Settings
    catalogue: Catalogue
    index: Index
    note_miss: Callable[[Question], None] | None = None
    foreign: ForeignAccess = field(default_factory=ForeignAccess)
    vectors: VectorLeg | None = None
    reranker: Reranker | None = None

    @classmethod
    def open(cls, settings: Settings, registry: CollectorRegistry | None = None) -> "Knowledge":
        catalogue = Catalogue.open(settings)
        return cls(
            settings,
            catalogue,
            open_index(settings, catalogue, registry),
            vectors=VectorLeg(settings, catalogue) if settings.knowledge_embedding_url else None,
            reranker=Reranker(settings) if settings.knowledge_rerank_url else None,
        )

    @property
    def legs(self) -> Legs:
        return Legs(self.settings, self.catalogue, self.index, self.vectors, self.reranker)


def search(knowledge: Knowledge, question: Question) -> Result:
    """The best passages for a question. Raises `BadRequest`, `NotFound` (an unknown base) and `Unavailable`."""
    check(knowledge, question)
    asked = terms(question.query, knowledge.settings.knowledge_query_tokens)
    tokens = [term.token for term in asked]
    weights = knowledge.index.weights(telling(tokens))
    bases = seen(knowledge, question)
    scope = scope_of(knowledge, question, bases)
    found, ranked = find(knowledge, question, asked, scope)
    pins = knowledge.catalogue.pins.of({name: at.pins for name, at in bases.items()})
    share = knowledge.settings.knowledge_pin_share
    first = pinned(pins, question, tokens, weights, share=share)
    foreign = {name: at.profile.foreign for name, at in bases.items() if at.profile.foreign}
    theirs = knowledge.foreign.search(knowledge.settings, question, foreign)
    texts = [f"{entry.passage.title}\n{entry.passage.text}" for entry in found]
    texts += [f"{passage.title}\n{passage.content}" for passage in theirs]
    covered = bool(first) or covers(knowledge, weights, texts)
    if not covered and knowledge.note_miss is not None:
        knowledge.note_miss(question)
    passages = build(first, found, theirs, weights, question.top_k)
    shown = present(knowledge.settings, knowledge.catalogue, passages)
    return Result(covered, shown, ranked.mode, ranked.reason)


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
    if not 0 <= question.threshold <= 1:
        raise BadRequest("score_threshold: from 0 to 1.", param="score_threshold")
    if question.language not in ("", "zh", "en"):
        raise BadRequest("language: zh or en.", param="language")
    if knowledge.index.applied() < 0 and knowledge.catalogue.sequence():
        raise Unavailable("The index is being built; search again in a moment.", retry_after=5)


def seen(knowledge: Knowledge, question: Question) -> dict[str, Known]:
    """The bases that are searched. One that may not be seen is not there: the error does not tell."""
    known = knowledge.catalogue.known()
    may = {name: at for name, at in known.items() if sees(question.rights, at.profile.access)}
    for name in question.bases:
        if name not in may:
            raise NotFound(f"There is no knowledge base {name[:64]!r}.", param="base")
    return {name: may[name] for name in question.bases or may}


def scope_of(knowledge: Knowledge, question: Question, bases: Mapping[str, Known]) -> Scope:
    """What may be seen of what was asked for."""
    weight = knowledge.settings.knowledge_title_weight
    return Scope(
        bases={name: fields_of(at.profile, weight) for name, at in bases.items()},
        rights=question.rights,
        filter=question.filter,
        languages=frozenset(filter(None, [question.language])),
    )


def fields_of(profile: Profile, title_weight: float) -> Fields:
    own = profile.title_weight
    return Fields(title_weight if own is None else own, profile.content_weight)


def find(
    knowledge: Knowledge, question: Question, asked: Sequence[Term], scope: Scope
) -> tuple[list[Entry], Ranked]:
    """The first `top_k` entries. Where near-duplicates leave too few, once more among many more passages."""
    budget, limit = knowledge.settings.knowledge_parent_characters, question.top_k + MORE
    for looked_at in (limit, limit * MANY):
        ranked = knowledge.legs.rank(question, asked, scope, limit=looked_at)
        hits = [hit for hit in ranked.hits if hit.score >= question.threshold]
        ids = [hit.passage_id for hit in hits]
        stored = knowledge.catalogue.passages(ids, around=AROUND if budget else 0)
        found = entries(hits, visible(stored, scope), budget=budget, limit=question.top_k)
        if len(found) == question.top_k or len(hits) < looked_at:
            break
    return found, ranked


def visible(stored: Mapping[str, StoredPassage], scope: Scope) -> dict[str, StoredPassage]:
    """Without what this asker may no longer see: the catalogue is the truth, an index may be a moment behind it."""
    return {
        name: passage
        for name, passage in stored.items()
        if passage.base in scope.bases
        and sees(scope.rights, passage.access)
        and (scope.filter is None or matches(scope.filter, passage.metadata))
    }


def covers(knowledge: Knowledge, weights: Mapping[str, float], texts: Sequence[str]) -> bool:
    """Whether one of these passages, with its title, holds enough of what the question is about.

    With single characters nearly any question matches something, so a score says little: what counts is the share
    of the telling tokens' weight that stands in the passage or its title.
    """
    total = sum(weights.values())
    if not total:
        return False
    enough = knowledge.settings.knowledge_found_share * total
    return any(sum(weights[token] for token in held(text, weights)) >= enough for text in texts)


def build(
    first: Sequence[Passage],
    found: Sequence[Entry],
    theirs: Sequence[Passage],
    weights: Mapping[str, float],
    top_k: int,
) -> tuple[Passage, ...]:
    """The result's passages: pinned answers first, then what was found, `top_k` together.

    Scores of foreign bases are made in another way: where both are searched the order between the two is a rough one.
    """
    passages = [_passage(entry, weights) for entry in found]
    if theirs:
        passages = sorted([*passages, *theirs], key=lambda passage: -passage.score)
    return (*first, *passages)[:top_k]


def _passage(entry: Entry, weights: Mapping[str, float]) -> Passage:
    passage = entry.passage
    return Passage(
        content=entry.content,
        title=passage.title,
        score=round(entry.hit.score, 4),
        document_id=passage.document_id,
        source_id=passage.source_id,
        segment_id=passage.id,
        url=passage.url,
        base=passage.base,
        document_title=passage.document_title,
        heading=passage.heading,
        page=passage.page,
        ordinal=passage.ordinal,
        language=passage.language,
        metadata=passage.metadata,
        highlight=highlight(entry.content, weights),
        copies=tuple(
            Copy(copy.document_id, copy.source_id, copy.base, copy.title, copy.url)
            for copy in entry.copies
        ),
    )
