"""Attention on a CPU for packed sequences: each sequence by itself, instead of one big mask over all of them.

transformers' paged SDPA joins all sequences and masks what does not belong together: its work grows with the square of
their number. Registered under the name `sdpa`, whose mask we do not look at.
"""

from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS


def register() -> None:
    """Take the place of transformers' `sdpa` in this process."""
    ALL_ATTENTION_FUNCTIONS.register("sdpa", attend_each)


def attend_each(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Attention of packed sequences with the paged cache.

    `query` is [1, heads, tokens of the step, size]; returns [1, tokens of the step, heads, size].
    """
    cache = kwargs.get("cache")
    if cache is None:  # a plain forward, without batching
        plain: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **kwargs
        )
        return plain
    key, value = cache.update(
        key_states=key, value_states=value, layer_idx=module.layer_idx, kwargs=kwargs
    )
    query_ends = kwargs["cu_seq_lens_q"].tolist()
    key_ends = kwargs["cu_seq_lens_k"].tolist()
    parts = [
        _attend(
            query[:, :, query_start:query_end],
            key[:, :, key_start:key_end],
            value[:, :, key_start:key_end],
            scaling,
        )
        for query_start, query_end, key_start, key_end in zip(
            query_ends, query_ends[1:], key_ends, key_ends[1:], strict=False
        )
        if query_end > query_start
    ]
    return torch.cat(parts, dim=2).transpose(1, 2).contiguous(), None


def _attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float | None
) -> torch.Tensor:
    """One sequence: its last tokens look at all before them and at themselves."""
    new, total = query.shape[2], key.shape[2]
    mask = None
    if new not in (1, total):
        mask = torch.ones(new, total, dtype=torch.bool, device=query.device).tril(total - new)
    return scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=mask,
        is_causal=mask is None and new > 1,
        scale=scaling,
        enable_gqa=query.shape[1] != key.shape[1],
    )
