"""Does a pinned question mean the same as what was asked? Its answer then comes first; called by `search`."""

from collections.abc import Iterable, Mapping, Sequence

from tool_server.knowledge.filters import matches
from tool_server.knowledge.pins import Pin
from tool_server.knowledge.question import Passage, Question
from tool_server.knowledge.rights import sees


def pinned(
    pins: Iterable[Pin],
    question: Question,
    tokens: Sequence[str],
    weights: Mapping[str, float],
    *,
    share: float,
) -> tuple[Passage, ...]:
    """The one answer whose question fits best, if it fits by `share` and whoever asks may see it.

    A pin has no metadata: a filter leaves those that it would leave of documents without any.
    """
    if question.filter is not None and not matches(question.filter, {}):
        return ()
    best, most = None, 0.0
    for pin in pins:
        fits = alike(pin.tokens, tokens, weights)
        if fits > most and sees(question.rights, pin.access):
            best, most = pin, fits
    return () if best is None or most < share else (_passage(best),)


def alike(pin: frozenset[str], tokens: Sequence[str], weights: Mapping[str, float]) -> float:
    """0..1: the smaller of two shares, of the question's weight that the pin holds, of the pin's tokens asked for."""
    if not weights:
        return float(pin == frozenset(tokens))
    common = pin.intersection(weights)
    if not common:
        return 0.0
    held = sum(weights[token] for token in common) / sum(weights.values())
    return min(held, len(common) / len(pin))


def _passage(pin: Pin) -> Passage:
    return Passage(
        content=pin.answer,
        title=pin.question,
        score=1.0,
        document_id=pin.id,
        source_id=f"pin:{pin.id}",
        segment_id=pin.id,
        url=pin.url,
        base=pin.base,
        document_title=pin.question,
        pinned=True,
    )
