"""What the engine process asks of a backend, and what is the same for all of them."""

from typing import Protocol

from transformers import PreTrainedModel

from tool_server.model.engine.picker import Picker
from tool_server.model.engine.requests import Requests
from tool_server.model.wire import Accepted, Refused, Submit
from tool_server.settings import Settings

# Architectures whose batches give what `generate` gives; others have caches that transformers cannot page.
BATCHED = frozenset({"llama", "qwen2", "qwen3"})


class Broken(Exception):
    """This process cannot go on; a new one can."""


class Backend(Protocol):
    """Makes tokens. Submit and cancel come from any thread, `watch` several times a second from the main thread."""

    requests: Requests
    vocabulary: int
    context_tokens: int
    restarts: int

    def submit(self, request: Submit, picker: Picker, owner: object) -> Accepted | Refused: ...

    def cancel(self, request_id: str) -> None: ...

    def watch(self) -> None:
        """Bring back what has died. Raises `Broken`."""

    def stop(self) -> None: ...


def batched(model: PreTrainedModel, settings: Settings) -> bool:
    """Whether the model runs in batches: as set, or by its architecture."""
    if settings.model_engine == "auto":
        return model.config.model_type in BATCHED
    return settings.model_engine == "batches"


def ends_of(model: PreTrainedModel) -> frozenset[int]:
    """The checkpoint's own end tokens; none where it names none."""
    own = model.generation_config.eos_token_id
    end = model.config.eos_token_id if own is None else own
    return frozenset(() if end is None else end if isinstance(end, list) else (end,))


def context_limit(model: PreTrainedModel, settings: Settings, pages: int | None = None) -> int:
    """Most tokens of one prompt and its answer: the model's, the cache's, and what is set."""
    limits = [
        int(model.config.max_position_embeddings),
        settings.model_max_prompt_tokens + settings.model_max_tokens,
    ]
    if pages is not None:
        limits.append((pages - 1) * settings.model_page_tokens)
    return min(limits)
