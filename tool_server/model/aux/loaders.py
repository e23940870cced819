"""From a folder to a model on its device: local files only; a loader per kind. The aux process's door to torch."""

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

# Before transformers is imported: it must not look for anything outside this machine.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"

import torch
from tokenizers import Tokenizer
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    PreTrainedModel,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
)
from transformers.utils.logging import disable_progress_bar

from tool_server.model.aux.checkpoint import Checkpoint, LoadError
from tool_server.model.aux.encoders import Classifier, Embedder, YesNo
from tool_server.model.aux.generators import GuardModel, Whisper
from tool_server.model.aux.kinds import Kind, configured
from tool_server.model.aux.work import Runner
from tool_server.settings import Settings


def prepare(settings: Settings, gate: AbstractContextManager[object]) -> None:
    """Once, before the first load. Raises `LoadError` where the device is missing."""
    disable_progress_bar()
    torch.set_num_threads(settings.model_aux_threads)
    if settings.model_aux_device == "cuda" and not torch.cuda.is_available():
        raise LoadError("SHENQIAO_MODEL_AUX_DEVICE: this machine has no CUDA device.")
    _keep_apart(gate)


def load(kind: Kind, settings: Settings) -> Runner:
    """The model of one kind. Raises `LoadError`, and what the libraries raise at a broken file."""
    checkpoint = Checkpoint(configured(settings)[kind].path)
    return LOADERS[kind](checkpoint, settings)


def release() -> None:
    """Give the memory of what was dropped back to the device."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _embedding(checkpoint: Checkpoint, settings: Settings) -> Runner:
    chosen = settings.model_embedding_pooling
    pooling = checkpoint.pooling() if chosen == "auto" else chosen
    model = _read(AutoModel, checkpoint, settings)
    return Embedder(model, checkpoint.context_tokens, pooling)


def _rerank(checkpoint: Checkpoint, settings: Settings) -> Runner:
    if checkpoint.architecture.endswith("ForSequenceClassification") and not checkpoint.causal:
        model = _read(AutoModelForSequenceClassification, checkpoint, settings)
        if model.config.num_labels != 1:
            raise LoadError(f"{checkpoint.path}: a reranker has one label, this model has more.")
        return Classifier(model, checkpoint.context_tokens)
    if not checkpoint.architecture.endswith("ForCausalLM"):
        raise LoadError(f"{checkpoint.path}: {checkpoint.architecture!r} is no reranker we know.")
    words = Tokenizer.from_file(str(checkpoint.path / "tokenizer.json"))
    yes, no = words.token_to_id("yes"), words.token_to_id("no")
    if yes is None or no is None:
        raise LoadError(f"{checkpoint.path}: the vocabulary has no token for yes and no.")
    model = _read(AutoModelForCausalLM, checkpoint, settings)
    return YesNo(model, checkpoint.context_tokens, yes=yes, no=no)


def _speech(checkpoint: Checkpoint, settings: Settings) -> Runner:
    model = _read(WhisperForConditionalGeneration, checkpoint, settings)
    features = WhisperFeatureExtractor.from_pretrained(checkpoint.path, local_files_only=True)
    tokenizer = Tokenizer.from_file(str(checkpoint.path / "tokenizer.json"))
    return Whisper(model, features, tokenizer)


def _guard(checkpoint: Checkpoint, settings: Settings) -> Runner:
    model = _read(AutoModelForCausalLM, checkpoint, settings)
    return GuardModel(model, checkpoint.context_tokens)


LOADERS: Mapping[Kind, Callable[[Checkpoint, Settings], Runner]] = {
    "embedding": _embedding,
    "rerank": _rerank,
    "speech": _speech,
    "guard": _guard,
}


def _read(kind: Any, checkpoint: Checkpoint, settings: Settings) -> PreTrainedModel:
    """Weights that the files do not hold would be random, with no error: they are looked for here."""
    model, info = kind.from_pretrained(
        checkpoint.path,
        dtype=getattr(torch, settings.model_aux_dtype),
        local_files_only=True,
        attn_implementation="sdpa",
        output_loading_info=True,
    )
    missing = sorted(name for name in info["missing_keys"] if "pooler" not in name)
    if missing:
        raise LoadError(
            f"{checkpoint.path}: {len(missing)} weights are missing, first {missing[0]}."
        )
    placed: PreTrainedModel = model.to(settings.model_aux_device).eval()
    return placed


def _keep_apart(gate: AbstractContextManager[object]) -> None:
    """No forward while a model is constructed: transformers changes torch's default dtype then, for all threads."""
    contexts = PreTrainedModel.get_init_context.__func__

    def guarded(cls: type[PreTrainedModel], *args: Any, **kwargs: Any) -> list[Any]:
        return [gate, *contexts(cls, *args, **kwargs)]

    PreTrainedModel.get_init_context = classmethod(guarded)
