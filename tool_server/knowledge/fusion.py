"""Several rankings of the same passages into one: reciprocal rank fusion; for `legs`, whatever index stands behind."""

from collections.abc import Sequence
from dataclasses import dataclass

from tool_server.knowledge.index import Hit

# The usual constant: the first place of one ranking is worth no more than good places in both.
K = 60


@dataclass(frozen=True)
class Ranking:
    """What one leg found, best first, and how much it counts."""

    hits: Sequence[Hit]
    weight: float = 1.0


def fuse(rankings: Sequence[Ranking], *, limit: int) -> list[Hit]:
    """The best passages of all; 1 is the score of what every ranking has first. Equal ones in order of their ids."""
    scores: dict[str, float] = {}
    for ranking in rankings:
        for place, hit in enumerate(ranking.hits, start=1):
            scores[hit.passage_id] = scores.get(hit.passage_id, 0.0) + ranking.weight / (K + place)
    highest = sum(ranking.weight for ranking in rankings) / (K + 1)
    order = sorted(scores, key=lambda name: (-scores[name], name))[:limit]
    return [Hit(name, min(1.0, scores[name] / highest)) for name in order]
