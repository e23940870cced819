"""Highlights: the parts of a passage that hold what was asked for; called by `search`, the same for every index."""

import re
from collections.abc import Mapping

from tool_server.knowledge.places import Span, is_han, spans
from tool_server.knowledge.question import Fragment

FRAGMENTS = 2
CHARACTERS = 120
LOOKED_AT = 20_000  # characters of a passage
MARKS = 50  # of one fragment
SENTENCE = re.compile(r"(?:[^。！？!?；;\n.]|\.(?!\s))+(?:[。！？!?；;]+|\.)?")


def highlight(text: str, weights: Mapping[str, float]) -> tuple[Fragment, ...]:
    """Up to two sentences, in the order of the text: those whose marks weigh most; long ones are cut around a mark.

    `weights`: how much each telling token of the question tells. Nothing where the text holds none of them.
    """
    looked_at = text[:LOOKED_AT]
    marks = _marks(looked_at, weights)
    sentences = [match.span() for match in SENTENCE.finditer(looked_at)]
    inside = {sentence: _inside(marks, sentence) for sentence in sentences}
    marked = [sentence for sentence in sentences if inside[sentence]]
    weighed = sorted(marked, key=lambda at: -_weight(looked_at[slice(*at)], weights))
    return tuple(
        _fragment(looked_at, sentence, inside[sentence]) for sentence in sorted(weighed[:FRAGMENTS])
    )


def _marks(text: str, weights: Mapping[str, float]) -> list[Span]:
    """Of words and pairs of Han characters; of single ones only where there are no others."""
    strong = [token for token in weights if len(token) > 1 or not is_han(token)]
    return spans(text, strong) or spans(text, weights)


def _inside(marks: list[Span], sentence: Span) -> list[Span]:
    return [mark for mark in marks if sentence[0] <= mark[0] and mark[1] <= sentence[1]]


def _weight(text: str, weights: Mapping[str, float]) -> float:
    folded = text.lower()
    return sum(weight for token, weight in weights.items() if token in folded)


def _fragment(text: str, sentence: Span, marks: list[Span]) -> Fragment:
    """The sentence without blanks around it; of a long one the part that begins shortly before its first mark."""
    start, end = sentence
    if end - start > CHARACTERS:
        start = max(start, min(marks[0][0] - CHARACTERS // 4, end - CHARACTERS))
        end = start + CHARACTERS
    part = text[start:end]
    start += len(part) - len(part.lstrip())
    end -= len(part) - len(part.rstrip())
    kept = [(a - start, b - start) for a, b in marks if start <= a and b <= end]
    return Fragment(text[start:end], tuple(kept[:MARKS]))
