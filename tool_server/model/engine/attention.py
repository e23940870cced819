"""Attention for packed sequences: each sequence by itself, instead of one big mask over all of them.

transformers' paged SDPA joins all sequences and masks what does not belong together: its work grows with the square of
their number. A name with "flash" in it spares the masks as well.
"""

import threading
from collections.abc import Sequence
from typing import Any

import structlog
import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

log = structlog.get_logger()

NAME = "packed_flash"
# Largest difference in bfloat16 between the kernel and the plain computation that is rounding.
TOLERANCE = 2e-2


def use(model: PreTrainedModel) -> None:
    """Choose the attention for this device, and say so in the log; before the batches begin."""
    kernel = model.device.type == "cuda" and kernel_is_right(model.device, model.dtype)
    chosen = attend_packed if kernel else attend_each
    ALL_ATTENTION_FUNCTIONS.register(NAME, chosen)
    model.config._attn_implementation = NAME
    log.info("engine.attention", device=model.device.type, function=chosen.__name__)


def kernel_is_right(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether torch's kernel runs here and gives what the plain computation gives, on two small sequences."""
    generator = torch.Generator(device="cpu").manual_seed(1)

    def noise(tokens: int, heads: int) -> torch.Tensor:
        values = torch.randn(1, heads, tokens, 64, generator=generator)
        return values.to(device, dtype)

    query, key, value = noise(6, 4), noise(12, 2), noise(12, 2)
    query_ends = torch.tensor([0, 5, 6], dtype=torch.int32, device=device)
    key_ends = torch.tensor([0, 5, 12], dtype=torch.int32, device=device)
    try:
        given = _packed(query, key, value, query_ends, key_ends, 5, 7, 0.125)
    except (RuntimeError, NotImplementedError) as error:
        log.warning("engine.no_attention_kernel", reason=str(error).splitlines()[0][:200])
        return False
    wanted = _each(query, key, value, _spans(query_ends, key_ends, 0), 0.125)
    return bool((given - wanted).abs().max() < TOLERANCE)


def attend_each(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Attention of packed sequences with the paged cache, one call a sequence.

    `query` is [1, heads, tokens of the step, size]; returns [1, tokens of the step, heads, size].
    """
    if kwargs.get("cache") is None:  # a plain forward, without batching
        return _plain(module, query, key, value, attention_mask, scaling, **kwargs)
    key, value = _remember(module, key, value, kwargs)
    spans = _spans(kwargs["cu_seq_lens_q"], kwargs["cu_seq_lens_k"], int(module.layer_idx))  # type: ignore[arg-type]
    return _each(query, key, value, spans, scaling), None


def attend_packed(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """The same by torch's kernel for sequences of different lengths: one call for all; CUDA only."""
    if kwargs.get("cache") is None:
        return _plain(module, query, key, value, attention_mask, scaling, **kwargs)
    key, value = _remember(module, key, value, kwargs)
    ends = kwargs["cu_seq_lens_q"], kwargs["cu_seq_lens_k"]
    longest = kwargs["max_length_q"], kwargs["max_length_k"]
    return _packed(query, key, value, *ends, *longest, scaling), None


def _plain(module: torch.nn.Module, *args: Any, **kwargs: Any) -> tuple[torch.Tensor, None]:
    query, key, value, mask, scaling = args
    given: tuple[torch.Tensor, None] = sdpa_attention_forward(
        module, query, key, value, mask, scaling=scaling, **kwargs
    )
    return given


def _remember(
    module: torch.nn.Module, key: torch.Tensor, value: torch.Tensor, kwargs: dict[str, Any]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Put this step's keys and values into the cache; all of the sequences' so far."""
    keys, values = kwargs["cache"].update(
        key_states=key, value_states=value, layer_idx=module.layer_idx, kwargs=kwargs
    )
    return keys, values


def _packed(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    query_ends: torch.Tensor,
    key_ends: torch.Tensor,
    longest_query: int,
    longest_key: int,
    scaling: float | None,
) -> torch.Tensor:
    from torch.nn.attention.varlen import varlen_attn  # 6 s of imports that a CPU can do without

    packed = varlen_attn(
        query.squeeze(0).transpose(0, 1),
        key.squeeze(0).transpose(0, 1),
        value.squeeze(0).transpose(0, 1),
        query_ends,
        key_ends,
        longest_query,
        longest_key,
        scale=scaling,
        window_size=(-1, 0),
        enable_gqa=query.shape[1] != key.shape[1],
    )
    assert isinstance(packed, torch.Tensor)
    return packed.unsqueeze(0)


class _Step(threading.local):
    """The spans of the step that this thread is at: the same in all of its layers."""

    spans: tuple[tuple[int, int, int, int], ...] = ()


_step = _Step()


def _spans(
    query_ends: torch.Tensor, key_ends: torch.Tensor, layer: int
) -> tuple[tuple[int, int, int, int], ...]:
    """Where each sequence's queries and keys begin and end; read from the tensors in the first layer only."""
    if layer == 0:
        queries, keys = query_ends.tolist(), key_ends.tolist()
        ends = zip(queries, queries[1:], keys, keys[1:], strict=False)
        _step.spans = tuple(span for span in ends if span[1] > span[0])
    return _step.spans


def _each(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    spans: Sequence[tuple[int, int, int, int]],
    scaling: float | None,
) -> torch.Tensor:
    parts = [
        _attend(query[:, :, q0:q1], key[:, :, k0:k1], value[:, :, k0:k1], scaling)
        for q0, q1, k0, k1 in spans
    ]
    return torch.cat(parts, dim=2).transpose(1, 2).contiguous()


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
