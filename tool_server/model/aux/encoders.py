"""Embedding and rerank models on the device: tokens in, vectors or scores out; run by the executor."""

from collections.abc import Sequence

import torch
from torch.nn.functional import normalize
from transformers import PreTrainedModel

from tool_server.model.aux.checkpoint import Pooling
from tool_server.model.aux.work import Text

TOO_LONG = "It has {length} tokens; this model takes 1 to {limit}."


class Encoder:
    """What all three share: limits and padding. Padding is on the right, `mask` is 1 where there is a token."""

    batched = True

    def __init__(self, model: PreTrainedModel, context_tokens: int) -> None:
        self.model = model
        self.context_tokens = context_tokens
        self.weight_bytes = weight_bytes(model)
        self.vocabulary = int(model.config.vocab_size)
        self._pad = int(getattr(model.config, "pad_token_id", None) or 0)

    def refusal(self, item: Text) -> str | None:
        """What an embedding table would fail at."""
        if not 1 <= len(item.tokens) <= self.context_tokens:
            return TOO_LONG.format(length=len(item.tokens), limit=self.context_tokens)
        if not 0 <= min(item.tokens) <= max(item.tokens) < self.vocabulary:
            return f"It has tokens outside of 0..{self.vocabulary - 1}."
        return None

    def pad(self, items: Sequence[Text]) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens and mask, both [items, longest]."""
        longest = max(len(item.tokens) for item in items)
        rows = [[*item.tokens, *[self._pad] * (longest - len(item.tokens))] for item in items]
        ones = [[1] * len(item.tokens) + [0] * (longest - len(item.tokens)) for item in items]
        device = self.model.device
        return torch.tensor(rows, device=device), torch.tensor(ones, device=device)


class Embedder(Encoder):
    """Texts to vectors of length 1: one float32 little-endian `bytes` per text."""

    def __init__(self, model: PreTrainedModel, context_tokens: int, pooling: Pooling) -> None:
        super().__init__(model, context_tokens)
        self._pooling = pooling

    @torch.inference_mode()
    def run(self, items: Sequence[Text]) -> list[bytes]:
        tokens, mask = self.pad(items)
        hidden = self.model(input_ids=tokens, attention_mask=mask).last_hidden_state.float()
        vectors = normalize(pool(hidden, mask, self._pooling), dim=-1)
        return [row.tobytes() for row in vectors.cpu().numpy().astype("<f4")]


class Classifier(Encoder):
    """Pairs to scores, by a head with one label (bge-reranker)."""

    @torch.inference_mode()
    def run(self, items: Sequence[Text]) -> list[float]:
        tokens, mask = self.pad(items)
        types = {}
        if all(item.types for item in items):
            rows = [[*item.types, *[0] * (tokens.shape[1] - len(item.types))] for item in items]
            types["token_type_ids"] = torch.tensor(rows, device=tokens.device)
        logits = self.model(input_ids=tokens, attention_mask=mask, **types).logits
        scores: list[float] = logits[:, 0].float().sigmoid().tolist()
        return scores


class YesNo(Encoder):
    """Prompts to scores: how much rather "yes" than "no" the next token would be (Qwen3-Reranker)."""

    def __init__(self, model: PreTrainedModel, context_tokens: int, *, yes: int, no: int) -> None:
        super().__init__(model, context_tokens)
        self._words = [no, yes]

    @torch.inference_mode()
    def run(self, items: Sequence[Text]) -> list[float]:
        tokens, mask = self.pad(items)
        body = self.model.get_decoder()
        hidden = body(input_ids=tokens, attention_mask=mask, use_cache=False).last_hidden_state
        head = self.model.get_output_embeddings().weight[self._words]
        logits = (pool(hidden, mask, "last") @ head.T).float()  # two of the vocabulary's columns
        scores: list[float] = logits.softmax(dim=-1)[:, 1].tolist()
        return scores


def pool(hidden: torch.Tensor, mask: torch.Tensor, pooling: Pooling) -> torch.Tensor:
    """[items, longest, size] → [items, size]. Padding is on the right, so the last token stands at its length."""
    if pooling == "cls":
        return hidden[:, 0]
    lengths = mask.sum(dim=1)
    if pooling == "last":
        return hidden[torch.arange(len(hidden), device=hidden.device), lengths - 1]
    return (hidden * mask.unsqueeze(-1)).sum(dim=1) / lengths.unsqueeze(-1)


def weight_bytes(model: PreTrainedModel) -> int:
    """Bytes of all parameters and buffers; those that are tied count once."""
    held = {tensor.data_ptr(): tensor for tensor in (*model.parameters(), *model.buffers())}
    return sum(tensor.numel() * tensor.element_size() for tensor in held.values())
