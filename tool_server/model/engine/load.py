"""Loading the model from its folder: local files only, nothing from a hub; called by the engine process."""

import os
from pathlib import Path

# Before transformers is imported: it must not look for anything outside this machine.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.utils.logging import disable_progress_bar

from tool_server.model.engine import attention
from tool_server.settings import Settings


class LoadError(Exception):
    """The folder holds no model that can be loaded; a sentence for the operator."""


def load(settings: Settings) -> PreTrainedModel:
    """The model, ready on its device. Raises `LoadError`."""
    path = settings.model_path
    if path == Path() or not (path / "config.json").is_file():
        raise LoadError(f"SHENQIAO_MODEL_PATH: there is no model in {str(path)!r}.")
    disable_progress_bar()
    torch.set_num_threads(settings.model_threads)
    if settings.model_device == "cuda" and not torch.cuda.is_available():
        raise LoadError("SHENQIAO_MODEL_DEVICE: this machine has no CUDA device.")
    if settings.model_device == "cpu":
        attention.register()
    try:
        model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
            path,
            dtype=getattr(torch, settings.model_dtype),
            local_files_only=True,
            attn_implementation="sdpa",
        )
    except (OSError, ValueError) as error:
        raise LoadError(f"The model in {path} cannot be loaded: {error}") from None
    return model.to(settings.model_device).eval()
