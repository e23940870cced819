"""The optional last step of a ranking: a rerank model reads question and passages together; called by `legs`."""

from collections.abc import Mapping, Sequence

import httpx
import structlog

from tool_server.knowledge.index import Hit
from tool_server.settings import Settings

log = structlog.get_logger()


class Reranker:
    """A client of a `/v1/rerank` in Jina's shape. Many threads may use one."""

    def __init__(self, settings: Settings) -> None:
        self._url = settings.knowledge_rerank_url.rstrip("/") + "/rerank"
        self._model = settings.knowledge_rerank_model
        self.top_n = settings.knowledge_rerank_top_n
        key = settings.knowledge_rerank_key.get_secret_value()
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._client = httpx.Client(timeout=settings.knowledge_rerank_timeout_s, headers=headers)

    def rerank(self, query: str, hits: Sequence[Hit], texts: Mapping[str, str]) -> list[Hit]:
        """The first `top_n` in the model's order, with its scores cut to 0..1; the order before where it fails."""
        first = [hit for hit in hits[: self.top_n] if hit.passage_id in texts]
        if not first:
            return list(hits)
        body = {
            "model": self._model,
            "query": query,
            "documents": [texts[hit.passage_id] for hit in first],
            "return_documents": False,
        }
        try:
            answer = self._client.post(self._url, json=body)
            answer.raise_for_status()
            scores = {
                row["index"]: float(row["relevance_score"]) for row in answer.json()["results"]
            }
            ranked = [(scores[at], hit.passage_id) for at, hit in enumerate(first)]
        except (httpx.HTTPError, ValueError, KeyError, TypeError, IndexError) as error:
            log.warning("rerank.failed", reason=type(error).__name__)
            return list(hits)
        ranked.sort(key=lambda pair: (-pair[0], pair[1]))
        return [Hit(name, min(1.0, max(0.0, score))) for score, name in ranked]

    def close(self) -> None:
        self._client.close()
