"""The rerank model: one SDK class that hands everything to `ranking`."""

from __future__ import annotations

from typing import Any

from dify_plugin.entities.model.rerank import RerankResult
from models import ranking
from models.served import ServedModel

from dify_plugin import RerankModel


class PrivateRerankModel(ServedModel, RerankModel):
    def _invoke(self, model: str, credentials: dict[str, Any], query: str, docs: list[str],
                score_threshold: float | None = None, top_n: int | None = None,
                user: str | None = None) -> RerankResult:  # fmt: skip
        return ranking.rank(
            self, model, credentials, query, docs, score_threshold=score_threshold, top_n=top_n
        )
