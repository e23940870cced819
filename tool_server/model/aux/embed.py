"""OpenAI's embeddings: texts to tokens, tokens to the aux process, vectors into the answer; called by `routes`."""

import base64
import math
from array import array
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from tool_server.errors import BadRequest
from tool_server.model.aux.checkpoint import Checkpoint
from tool_server.model.aux.client import AuxClient, new_id
from tool_server.model.aux.request import EmbeddingRequest
from tool_server.model.aux.served import embedding_tokens
from tool_server.model.aux.texts import TextTokens
from tool_server.model.aux.wire import Embed, Vectors
from tool_server.settings import Settings


class Embeddings:
    """What the embedding model takes; its tokenizer is read with the first request."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @cached_property
    def _tokens(self) -> TextTokens:
        return TextTokens(self._settings.model_embedding_path)

    @cached_property
    def _limit(self) -> int:
        return embedding_tokens(self._settings)

    @cached_property
    def _dimensions(self) -> int:
        return Checkpoint(self._settings.model_embedding_path).dimensions

    def answer(
        self, client: AuxClient, asked: EmbeddingRequest, gone: Callable[[], bool]
    ) -> dict[str, Any]:
        """The body. Raises `BadRequest` naming the input, and what `AuxClient.ask` raises."""
        dimensions = self._wanted_dimensions(asked.dimensions)
        inputs = self._encode(asked.input)
        vectors = client.ask(Embed(new_id(), inputs), Vectors, gone).each()
        total = sum(len(tokens) for tokens in inputs)
        return {
            "object": "list",
            "data": [
                {
                    "object": "embedding",
                    "index": index,
                    "embedding": _shape(vector, dimensions, asked.encoding_format),
                }
                for index, vector in enumerate(vectors)
            ],
            "model": asked.model,
            "usage": {"prompt_tokens": total, "total_tokens": total},
        }

    def _wanted_dimensions(self, asked: int | None) -> int | None:
        """None for whole vectors. Raises `BadRequest`."""
        if asked is None or asked == self._dimensions:
            return None
        if not self._settings.model_embedding_matryoshka:
            raise BadRequest(
                f"dimensions: this model's vectors cannot be shortened; they have {self._dimensions}.",
                code="unsupported_parameter",
                param="dimensions",
            )
        if asked > self._dimensions:
            raise BadRequest(
                f"dimensions: this model's vectors have {self._dimensions}.", param="dimensions"
            )
        return asked

    def _encode(self, inputs: Sequence[str] | Sequence[Sequence[int]]) -> list[list[int]]:
        most = self._settings.model_embedding_max_batch
        if len(inputs) > most:
            raise BadRequest(
                f"input: {len(inputs)} texts are too many; send at most {most} at once.",
                param="input",
            )
        texts = [entry for entry in inputs if isinstance(entry, str)]
        tokens = (
            self._tokens.encode(texts)
            if texts
            else [self._tokens.wrap(entry) for entry in inputs if not isinstance(entry, str)]
        )
        for index, entry in enumerate(tokens):
            if len(entry) > self._limit:
                raise BadRequest(
                    f"input.{index}: {len(entry)} tokens are too many; this model takes {self._limit}.",
                    code="context_length_exceeded",
                    param=f"input.{index}",
                )
        return tokens


def _shape(vector: bytes, dimensions: int | None, encoding_format: str) -> str | list[float]:
    """A vector as it is asked for; a shortened one has the length 1 again."""
    if dimensions is not None:
        vector = shorten(vector, dimensions)
    if encoding_format == "base64":
        return base64.b64encode(vector).decode()
    return array("f", vector).tolist()


def shorten(vector: bytes, dimensions: int) -> bytes:
    """The beginning of a float32 vector, normalised anew."""
    numbers = array("f", vector)[:dimensions]
    length = math.sqrt(math.sumprod(numbers, numbers)) or 1.0
    return array("f", (number / length for number in numbers)).tobytes()
