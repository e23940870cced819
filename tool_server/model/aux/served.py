"""The auxiliary models as `/v1/models` lists them, with what Dify's package reads besides; called by `model.routes`."""

import time
from typing import Any

from tool_server.model.aux.checkpoint import Checkpoint
from tool_server.model.aux.kinds import Kind, Served, configured
from tool_server.settings import Settings

# Dify's names of the kinds.
TYPES: dict[Kind, str] = {
    "embedding": "text-embedding",
    "rerank": "rerank",
    "speech": "speech2text",
    "guard": "moderation",
}


def served_models(settings: Settings) -> list[dict[str, Any]]:
    """One entry per model that is configured, whether it is loaded or not."""
    return [_describe(entry, settings) for entry in configured(settings).values()]


def embedding_tokens(settings: Settings) -> int:
    """Most tokens of one text to embed."""
    own = Checkpoint(settings.model_embedding_path).context_tokens
    return min(own, settings.model_embedding_max_tokens)


def _describe(served: Served, settings: Settings) -> dict[str, Any]:
    described = {
        "id": served.name,
        "object": "model",
        "created": int(time.time()),
        "owned_by": "shenqiao",
        "type": TYPES[served.kind],
        "features": [],
    }
    checkpoint = Checkpoint(served.path)
    match served.kind:
        case "embedding":
            described["context_length"] = embedding_tokens(settings)
            described["dimensions"] = checkpoint.dimensions
            described["max_batch"] = settings.model_embedding_max_batch
        case "rerank":
            limit = min(checkpoint.context_tokens, settings.model_rerank_max_tokens)
            described["context_length"] = limit
            described["max_batch"] = settings.model_rerank_max_documents
        case "guard":
            limit = min(checkpoint.context_tokens, settings.model_guard_max_tokens)
            described["context_length"] = limit
    return described
