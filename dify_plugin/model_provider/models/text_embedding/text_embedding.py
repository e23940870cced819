"""The embedding model: one SDK class that hands everything to `vectors`."""

from __future__ import annotations

from typing import Any

from dify_plugin.entities.model import EmbeddingInputType
from dify_plugin.entities.model.text_embedding import TextEmbeddingResult
from models import tokens, vectors
from models.served import ServedModel

from dify_plugin import TextEmbeddingModel


class PrivateEmbeddingModel(ServedModel, TextEmbeddingModel):
    def _invoke(self, model: str, credentials: dict[str, Any], texts: list[str], user: str | None = None,
                input_type: EmbeddingInputType = EmbeddingInputType.DOCUMENT,
                ) -> TextEmbeddingResult:  # fmt: skip
        return vectors.embed(self, model, credentials, texts)

    def get_num_tokens(
        self, model: str, credentials: dict[str, Any], texts: list[str]
    ) -> list[int]:
        return [tokens.of_text(text) for text in texts]
