"""What a question asks an index for: its tokens, each once, with a weight; for `search`, and for both index engines.

The weights need nothing but the question, so that every engine can give them to its term queries and all rank alike.
How they were found, and what did not help, is in docs/retrieval.md.
"""

from collections import Counter
from dataclasses import dataclass

from tool_server.knowledge.tokens import EMPTY_HAN, is_character, tokenize

# A token that is asked for twice counts 1.4 times: the subject of a long question is what it repeats.
REPEATED = 0.5
# Characters of asking and grammar count a little less. Much less would lose the few that name a subject.
EMPTY_WEIGHT = 0.8


@dataclass(frozen=True)
class Term:
    """A passage scores `weight` times the token's BM25, in its content and, where it `names`, in its title too.

    Single characters do not count in titles: there they mostly tell one "article 3" or "section 3" from another.
    """

    token: str
    weight: float = 1.0
    names: bool = True


def terms(text: str, limit: int) -> list[Term]:
    """The terms of a question, in its order, at most `limit`."""
    counted = list(Counter(tokenize(text)).items())[:limit]
    return [Term(token, _weight(token, count), not is_character(token)) for token, count in counted]


def _weight(token: str, count: int) -> float:
    weight = float(count**REPEATED)
    return weight * EMPTY_WEIGHT if EMPTY_HAN.intersection(token) else weight
