"""Passages in the order of their scores for a question; for `rerank`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dify_plugin.entities.model import ModelPropertyKey
from dify_plugin.entities.model.rerank import RerankDocument, RerankResult
from dify_plugin.errors.model import InvokeServerUnavailableError
from models.faults import NOT_OURS
from models.openai_wire import ModelServer

if TYPE_CHECKING:
    from dify_plugin import RerankModel


def rank(
    owner: RerankModel,
    model: str,
    credentials: dict[str, Any],
    query: str,
    passages: Sequence[str],
    *,
    score_threshold: float | None,
    top_n: int | None,
) -> RerankResult:
    """The best `top_n` with at least `score_threshold`, best first; scores are the model's own, not stretched."""
    server = ModelServer.of(credentials)
    size = _batch(owner, model, credentials)
    found: list[RerankDocument] = []
    for start in range(0, len(passages), size):
        found += _ranked(server, model, query, passages[start : start + size], start, top_n)
    found.sort(key=lambda document: document.score, reverse=True)
    kept = [d for d in found if score_threshold is None or d.score >= score_threshold]
    return RerankResult(model=model, docs=kept[: top_n or None])


def _ranked(
    server: ModelServer,
    model: str,
    query: str,
    passages: Sequence[str],
    start: int,
    top_n: int | None,
) -> list[RerankDocument]:
    """One request's passages, the first of which is number `start`; a score belongs to one pair, whoever is beside."""
    most = min(top_n or len(passages), len(passages))
    results = server.rank(model, query, list(passages), most).results
    indices = {result.index for result in results}
    if len(indices) != len(results) or not indices <= set(range(len(passages))):
        raise InvokeServerUnavailableError(NOT_OURS)
    return [
        RerankDocument(index=start + r.index, text=passages[r.index], score=r.relevance_score)
        for r in results
    ]


def _batch(owner: RerankModel, model: str, credentials: dict[str, Any]) -> int:
    """Passages in one request."""
    described = owner.get_model_schema(model, credentials)
    properties = described.model_properties if described else {}
    return int(properties.get(ModelPropertyKey.MAX_CHUNKS, 1))
