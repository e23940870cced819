"""Whether the vector leg is of use on this very corpus: passages must be found again by a part of their own text.

A model that does not know the corpus's language drags a good lexical ranking down; then the leg stays off. For `leg`.
"""

import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tool_server.knowledge.document import StoredPassage
from tool_server.knowledge.index import Hit
from tool_server.knowledge.vectors.embedding import Matrix

DEPTH = 10
# An excerpt is the middle third of a text, so long at most; a shorter text than this says too little.
EXCERPT_CHARACTERS = 60
LEAST_CHARACTERS = 12
# Of one language at least so many, or it is not judged by itself.
LEAST_OF_LANGUAGE = 5
# Texts that say different things must not all have one direction; good models have 0.1 to 0.9 here.
ALIKE = 0.98

type Ask = Callable[[str, StoredPassage], Sequence[Hit]]


@dataclass(frozen=True)
class Verdict:
    """The self-test's result; `reason` is a sentence for people, empty where it passed."""

    passed: bool
    reason: str
    sample: int
    lexical: float
    hybrid: float
    rows: int = 0


def judge(passages: Sequence[StoredPassage], vectors: Matrix, lexical: Ask, hybrid: Ask) -> Verdict:
    """Mean reciprocal rank of a passage that is searched for by its excerpt, both ways; per language too.

    `vectors` has a row for each passage; `lexical` and `hybrid` give passages, best first.
    """
    if not passages:
        return Verdict(False, "No passage is long enough to test the embedding model.", 0, 0.0, 0.0)
    if reason := _sameness(passages, vectors):
        return Verdict(False, reason, len(passages), 0.0, 0.0)
    ranks = [
        (_reciprocal(lexical(text, p), p.id), _reciprocal(hybrid(text, p), p.id))
        for p in passages
        for text in [excerpt(p.text)]
    ]
    lexical_mean, hybrid_mean = (statistics.mean(values) for values in zip(*ranks, strict=True))
    reason = _worse(passages, ranks)
    return Verdict(not reason, reason, len(passages), round(lexical_mean, 4), round(hybrid_mean, 4))


def sample(passages: Sequence[StoredPassage], size: int) -> list[StoredPassage]:
    """Passages with enough text, the same ones each time."""
    telling = sorted((p for p in passages if len(p.text) >= LEAST_CHARACTERS), key=lambda p: p.id)
    return random.Random(0).sample(telling, min(size, len(telling)))


def excerpt(text: str) -> str:
    """The middle of a text; words stay whole."""
    third = max(LEAST_CHARACTERS, min(EXCERPT_CHARACTERS, len(text) // 3))
    start = (len(text) - third) // 2
    cut = text[start : start + third]
    words = cut.split(" ")
    return " ".join(words[1:-1]) if len(words) > 4 else cut


def _sameness(passages: Sequence[StoredPassage], vectors: Matrix) -> str:
    """A sentence where the model tells no texts apart, in all or in Chinese."""
    chinese = np.array([passage.language == "zh" for passage in passages])
    for name, mine in (("all texts", np.ones_like(chinese)), ("all Chinese texts", chinese)):
        count = int(mine.sum())
        if count < LEAST_OF_LANGUAGE:
            continue
        cosines = vectors[mine] @ vectors[mine].T
        mean = float(cosines.sum() - count) / (count * (count - 1))
        if mean > ALIKE:
            return f"The embedding model gives {name} nearly the same vector (cosine {mean:.3f})."
    return ""


def _worse(passages: Sequence[StoredPassage], ranks: Sequence[tuple[float, float]]) -> str:
    """A sentence where the fused ranking loses, in one language or in all; one passage may be lost by chance."""
    for language in ("zh", "en", ""):
        pairs = zip(passages, ranks, strict=True)
        mine = [rank for passage, rank in pairs if language in ("", passage.language)]
        if language and len(mine) < LEAST_OF_LANGUAGE:
            continue
        plain, both = (statistics.mean(values) for values in zip(*mine, strict=True))
        if both < plain - 1 / len(mine):
            where = f" in the language {language!r}" if language else ""
            return (
                f"With the embedding model, passages are found worse by their own words{where}:"
                f" {both:.3f} against {plain:.3f} without it."
            )
    return ""


def _reciprocal(found: Sequence[Hit], wanted: str) -> float:
    places = (at for at, hit in enumerate(found[:DEPTH], start=1) if hit.passage_id == wanted)
    place = next(places, None)
    return 1 / place if place else 0.0
