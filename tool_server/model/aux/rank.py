"""Jina's rerank: a query with each document to the aux process, the best first; called by `routes`."""

from collections.abc import Callable
from functools import cached_property
from typing import Any

from tool_server.errors import BadRequest
from tool_server.model.aux.client import AuxClient, new_id
from tool_server.model.aux.request import RerankRequest
from tool_server.model.aux.texts import PairTokens, TooLong, YesNoTokens, pair_tokens
from tool_server.model.aux.wire import Score, Scores
from tool_server.settings import Settings


class Ranking:
    """What the rerank model takes; its tokenizer is read with the first request."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @cached_property
    def _tokens(self) -> PairTokens | YesNoTokens:
        settings = self._settings
        return pair_tokens(settings.model_rerank_path, settings.model_rerank_max_tokens)

    def answer(
        self, client: AuxClient, asked: RerankRequest, gone: Callable[[], bool]
    ) -> dict[str, Any]:
        """The body. Raises `BadRequest` naming the field, and what `AuxClient.ask` raises."""
        texts = asked.documents
        most = self._settings.model_rerank_max_documents
        if len(texts) > most:
            raise BadRequest(
                f"documents: {len(texts)} are too many; send at most {most} at once.",
                param="documents",
            )
        try:
            pairs = self._tokens.encode(asked.query, texts)
        except TooLong:
            raise BadRequest(
                "query: it takes more than half of what the model reads.",
                code="context_length_exceeded",
                param="query",
            ) from None
        scores = client.ask(Score(new_id(), pairs.tokens, pairs.types), Scores, gone).scores
        total = sum(len(tokens) for tokens in pairs.tokens)
        return {
            "object": "list",
            "model": asked.model,
            "results": _results(asked, texts, scores),
            "usage": {"prompt_tokens": total, "total_tokens": total},
        }


def _results(asked: RerankRequest, texts: list[str], scores: list[float]) -> list[dict[str, Any]]:
    """The best `top_n`; of equal ones the first."""
    order = sorted(range(len(texts)), key=lambda index: -scores[index])
    results: list[dict[str, Any]] = []
    for index in order[: asked.top_n]:
        result: dict[str, Any] = {"index": index, "relevance_score": scores[index]}
        if asked.return_documents:
            result["document"] = {"text": texts[index]}
        results.append(result)
    return results
