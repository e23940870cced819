"""The legs of a search: which passages each way of searching finds, in which order; called by `search`.

There is one, the lexical: BM25 over the question's tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tool_server.knowledge.index import Hit, Index, Scope
from tool_server.knowledge.question import Question, Used


@dataclass(frozen=True)
class Ranked:
    """Passages, best first, and which legs found them."""

    hits: Sequence[Hit]
    mode: Used


def rank(
    index: Index, question: Question, tokens: Sequence[str], scope: Scope, *, limit: int
) -> Ranked:
    """At most `limit` passages inside the scope. Without a second leg a hybrid search is a lexical one, and says so."""
    del question  # its words are for a leg that reads more than tokens, its `mode` chooses the legs
    return Ranked(index.search(tokens, scope, limit=limit), "lexical")
