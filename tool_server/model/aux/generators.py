"""Whisper and the guard on the device: one item at a time, greedy unless asked otherwise; run by the executor."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import PreTrainedModel, WhisperFeatureExtractor

from tool_server.model.aux.audio_child import SAMPLE_RATE
from tool_server.model.aux.encoders import weight_bytes
from tool_server.model.aux.work import Prompt, Sound

# Whisper invents sentences where there is nothing to hear; a part without any louder sample is not given to it.
SILENT = 0.001


class Whisper:
    """Parts of recordings to text."""

    batched = False

    def __init__(
        self, model: PreTrainedModel, features: WhisperFeatureExtractor, tokenizer: Tokenizer
    ) -> None:
        self.weight_bytes = weight_bytes(model)
        self._model = model
        self._features = features
        self._tokenizer = tokenizer
        self._multilingual = bool(getattr(model.generation_config, "is_multilingual", False))

    def refusal(self, item: Sound) -> str | None:
        """A model for English alone cannot be told a language; the route has checked the others."""
        if not self._multilingual and item.language not in (None, "en"):
            return "language: this model knows English only."
        return None

    @torch.inference_mode()
    def run(self, items: Sequence[Sound]) -> list[str]:
        return [self._hear(item) for item in items]

    def _hear(self, item: Sound) -> str:
        if len(item.samples) == 0 or float(np.abs(item.samples).max()) < SILENT:
            return ""
        heard = self._features(item.samples, sampling_rate=SAMPLE_RATE, return_tensors="pt")
        features = heard.input_features.to(self._model.device, self._model.dtype)
        options: dict[str, Any] = {"do_sample": False}
        if item.temperature > 0:
            options = {"do_sample": True, "temperature": item.temperature}
        if self._multilingual:
            options.update(task="transcribe", language=item.language)
        (tokens,) = self._model.generate(features, **options).tolist()
        return str(self._tokenizer.decode(tokens, skip_special_tokens=True)).strip()


class GuardModel:
    """Prompts to the tokens that follow."""

    batched = False

    def __init__(self, model: PreTrainedModel, context_tokens: int) -> None:
        self.weight_bytes = weight_bytes(model)
        self._model = model
        self._context_tokens = context_tokens
        self._vocabulary = int(model.config.vocab_size)

    def refusal(self, item: Prompt) -> str | None:
        total = len(item.tokens) + item.max_tokens
        if not item.tokens or item.max_tokens < 1 or total > self._context_tokens:
            return f"{total} tokens do not fit the {self._context_tokens} of the guard."
        if not 0 <= min(item.tokens) <= max(item.tokens) < self._vocabulary:
            return f"There are tokens outside of 0..{self._vocabulary - 1}."
        return None

    @torch.inference_mode()
    def run(self, items: Sequence[Prompt]) -> list[list[int]]:
        return [self._go_on(item) for item in items]

    def _go_on(self, item: Prompt) -> list[int]:
        prompt = torch.tensor([list(item.tokens)], device=self._model.device)
        output = self._model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=item.max_tokens,
            do_sample=False,
            temperature=None,  # the checkpoint's own sampling settings, which greedy does not read
            top_p=None,
            top_k=None,
        )
        tokens: list[int] = output[0, prompt.shape[1] :].tolist()
        return tokens
