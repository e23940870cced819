"""Texts to vectors, in batches as large as the model takes; for `text_embedding`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import batched
from typing import TYPE_CHECKING, Any

from dify_plugin.entities.model import PriceType
from dify_plugin.entities.model.text_embedding import EmbeddingUsage, TextEmbeddingResult
from dify_plugin.errors.model import InvokeBadRequestError, InvokeServerUnavailableError
from models import tokens
from models.faults import NOT_OURS
from models.openai_wire import ModelServer
from models.schema import NUMBERS
from models.shapes import Embeddings

if TYPE_CHECKING:
    from dify_plugin import TextEmbeddingModel


def embed(
    owner: TextEmbeddingModel, model: str, credentials: dict[str, Any], texts: Sequence[str]
) -> TextEmbeddingResult:
    """One vector per text, in their order. Raises an `InvokeError` with a sentence."""
    server = ModelServer.of(credentials)
    vectors: list[list[float]] = []
    count = 0
    for batch in batched(texts, owner._get_max_chunks(model, credentials)):
        answer = server.embed(model, list(batch))
        vectors += _ordered(answer, len(batch))
        count += answer.usage.prompt_tokens if answer.usage else sum(map(tokens.of_text, batch))
        if len(vectors) * len(vectors[0]) > NUMBERS:
            raise InvokeBadRequestError("These are too many texts for one call: send fewer.")
    if len({len(vector) for vector in vectors}) > 1:
        raise InvokeServerUnavailableError(NOT_OURS)
    usage = _usage(owner, model, credentials, count)
    return TextEmbeddingResult(model=model, embeddings=vectors, usage=usage)


def _ordered(answer: Embeddings, count: int) -> list[list[float]]:
    """By index, one for each text: a vector at another text's place would be found for the wrong words."""
    found = sorted(answer.data, key=lambda vector: vector.index)
    if [vector.index for vector in found] != list(range(count)):
        raise InvokeServerUnavailableError(NOT_OURS)
    return [vector.embedding for vector in found]


def _usage(
    owner: TextEmbeddingModel, model: str, credentials: dict[str, Any], count: int
) -> EmbeddingUsage:
    price = owner.get_price(model, credentials, PriceType.INPUT, count)
    return EmbeddingUsage(
        tokens=count,
        total_tokens=count,
        unit_price=price.unit_price,
        price_unit=price.unit,
        total_price=price.total_amount,
        currency=price.currency,
        latency=time.perf_counter() - owner.started_at,
    )
