"""Texts to vectors, by an OpenAI-compatible `/v1/embeddings`: our own model server's, or any other; for `leg`."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray

from tool_server.settings import Settings

type Matrix = NDArray[np.float32]

# Beyond this share of a unit a "vector" is rounding noise, and has no direction.
SHORTEST = 1e-6


class EmbeddingError(Exception):
    """The model is away, or what it says is no vectors; the sentence says which."""


class Embedder:
    """Rows of length 1, so that a product of two is their cosine. Many threads may use one."""

    def __init__(self, settings: Settings) -> None:
        self._url = settings.knowledge_embedding_url.rstrip("/") + "/embeddings"
        self._model = settings.knowledge_embedding_model
        self._dimensions = settings.knowledge_embedding_dimensions
        self._batch = settings.knowledge_embedding_batch
        self._characters = settings.knowledge_embedding_characters
        self._instruction = settings.knowledge_embedding_query_instruction
        self._timeout_s = settings.knowledge_embedding_timeout_s
        self._question_timeout_s = settings.knowledge_embedding_question_timeout_s
        key = settings.knowledge_embedding_key.get_secret_value()
        self._client = httpx.Client(headers={"Authorization": f"Bearer {key}"} if key else {})

    @property
    def name(self) -> str:
        """Changes with whatever makes other vectors of the same passages."""
        made_by = f"{self._model}\n{self._dimensions}\n{self._characters}"
        return hashlib.sha256(made_by.encode()).hexdigest()[:12]

    def passages(self, texts: Sequence[str]) -> Matrix:
        """One row each. Raises `EmbeddingError`."""
        parts = [self._ask(part, self._timeout_s) for part in self._batches(texts)]
        if len({part.shape[1] for part in parts}) > 1:
            raise EmbeddingError("The embedding model changed the length of its vectors.")
        return np.concatenate(parts)

    def question(self, text: str) -> Matrix:
        """One vector, made with the instruction that some models want before a question. Raises `EmbeddingError`."""
        asked = self._instruction + text[: self._characters]
        vector: Matrix = self._ask([asked], self._question_timeout_s)[0]
        return vector

    def close(self) -> None:
        self._client.close()

    def _batches(self, texts: Sequence[str]) -> Iterator[list[str]]:
        for at in range(0, len(texts), self._batch):
            yield [text[: self._characters] for text in texts[at : at + self._batch]]

    def _ask(self, texts: list[str], timeout_s: float) -> Matrix:
        body: dict[str, Any] = {"model": self._model, "input": texts}
        if self._dimensions:
            body["dimensions"] = self._dimensions
        try:
            answer = self._client.post(self._url, json=body, timeout=timeout_s)
            answer.raise_for_status()
            rows = sorted(answer.json()["data"], key=lambda row: row["index"])
            vectors = np.array([row["embedding"] for row in rows], dtype=np.float32)
        except httpx.HTTPStatusError as error:
            status = error.response.status_code
            raise EmbeddingError(f"The embedding model answered {status}.") from None
        except httpx.HTTPError as error:
            name = type(error).__name__
            raise EmbeddingError(f"The embedding model cannot be reached: {name}.") from None
        except (ValueError, KeyError, TypeError):
            raise EmbeddingError("The embedding model's answer cannot be read.") from None
        return self._checked(vectors, len(texts))

    def _checked(self, vectors: Matrix, count: int) -> Matrix:
        wanted = self._dimensions
        if vectors.ndim != 2 or len(vectors) != count or wanted not in (0, vectors.shape[1]):
            raise EmbeddingError("The embedding model sent vectors of another number or length.")
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not np.isfinite(vectors).all() or (lengths < SHORTEST).any():
            raise EmbeddingError("The embedding model sent vectors that are not finite, or zero.")
        return vectors / lengths
