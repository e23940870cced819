"""The legs of a search: which passages each way of searching finds, fused and reranked; called by `search`.

The lexical leg is always there. The vectors join it where they are on; where they are not, the answer says why.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tool_server.knowledge.catalogue import Catalogue
from tool_server.knowledge.fusion import Ranking, fuse
from tool_server.knowledge.index import Hit, Index, Scope
from tool_server.knowledge.question import Question, Used
from tool_server.knowledge.rerank import Reranker
from tool_server.knowledge.terms import Term
from tool_server.knowledge.vectors.leg import NOT_CONFIGURED, Away, VectorLeg
from tool_server.settings import Settings


@dataclass(frozen=True)
class Ranked:
    """Passages, best first, and which legs found them; `reason` where the vectors were asked for and are off."""

    hits: Sequence[Hit]
    mode: Used
    reason: str = ""


@dataclass(frozen=True)
class Legs:
    """What a ranking is made of."""

    settings: Settings
    catalogue: Catalogue
    index: Index
    vectors: VectorLeg | None = None
    reranker: Reranker | None = None

    def rank(
        self, question: Question, asked: Sequence[Term], scope: Scope, *, limit: int
    ) -> Ranked:
        """At most `limit` passages of the scope; the question's words are for the legs that read more than terms."""
        wanted = limit if self.reranker is None else max(limit, self.reranker.top_n)
        ranked = self._fused(question, asked, scope, wanted)
        if self.reranker is None:
            return ranked
        stored = self.catalogue.passages([hit.passage_id for hit in ranked.hits])
        texts = {name: f"{passage.title}\n{passage.text}" for name, passage in stored.items()}
        hits = self.reranker.rerank(question.query, ranked.hits, texts)
        return Ranked(hits[:limit], ranked.mode, ranked.reason)

    def _fused(self, question: Question, asked: Sequence[Term], scope: Scope, limit: int) -> Ranked:
        if question.mode == "lexical" or self.vectors is None:
            reason = NOT_CONFIGURED if question.mode == "hybrid" else ""
            return Ranked(self.index.search(asked, scope, limit=limit), "lexical", reason)
        window = max(limit, self.settings.knowledge_fusion_window)
        lexical = self.index.search(asked, scope, limit=window)
        try:
            meant = self._documents(scope)
            near = self.vectors.search(question.query, scope, limit=window, documents=meant)
        except Away as away:
            return Ranked(lexical[:limit], "lexical", str(away))
        weight = self.settings.knowledge_fusion_weight
        return Ranked(fuse([Ranking(lexical), Ranking(near, weight)], limit=limit), "hybrid")

    def _documents(self, scope: Scope) -> Collection[str] | None:
        """Those that the scope's filter means; None for all."""
        if scope.filter is None:
            return None
        return self.catalogue.matching(scope.filter, frozenset(scope.bases))
