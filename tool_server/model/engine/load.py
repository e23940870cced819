"""Loading the model from its folder: local files only, nothing from a hub; called by the engine process."""

import os
from pathlib import Path
from typing import Any

# Before transformers is imported: it must not look for anything outside this machine.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"

import structlog
import torch
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, PreTrainedModel
from transformers.utils.logging import disable_progress_bar

from tool_server.settings import Settings

log = structlog.get_logger()


class LoadError(Exception):
    """The folder holds no model that can be loaded; a sentence for the operator."""


def load(settings: Settings) -> PreTrainedModel:
    """The model, ready on its device. Raises `LoadError`."""
    path = settings.model_path
    if path == Path() or not (path / "config.json").is_file():
        raise LoadError(f"SHENQIAO_MODEL_PATH: there is no model in {str(path)!r}.")
    check_device(settings)
    disable_progress_bar()
    torch.set_num_threads(settings.model_threads)
    try:
        model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
            path,
            dtype=getattr(torch, settings.model_dtype),
            local_files_only=True,
            attn_implementation="sdpa",
            **_placement(settings),
        )
    except (OSError, ValueError, ImportError) as error:
        raise LoadError(f"The model in {path} cannot be loaded: {error}") from None
    if settings.model_quantization == "none":
        model = model.to(settings.model_device)
    log.info(
        "engine.loaded",
        architecture=model.config.model_type,
        weights_mb=round(model.get_memory_footprint() / 1e6, 1),
        quantization=settings.model_quantization,
    )
    return model.eval()


def check_device(settings: Settings) -> None:
    """Raises `LoadError` where the settings ask for what this machine cannot do."""
    if settings.model_device == "cuda" and not torch.cuda.is_available():
        raise LoadError("SHENQIAO_MODEL_DEVICE: this machine has no CUDA device.")
    if settings.model_device == "cpu" and settings.model_pages == 0:
        raise LoadError("SHENQIAO_MODEL_PAGES: 0 (by the memory's share) needs a CUDA device.")


def _placement(settings: Settings) -> dict[str, Any]:
    """Quantised weights are made where they stay; embeddings and the output layer keep their format."""
    if settings.model_quantization == "none":
        return {}
    return {
        "quantization_config": quantization(settings),
        "device_map": {"": settings.model_device},
    }


def quantization(settings: Settings) -> BitsAndBytesConfig:
    """bitsandbytes' configuration: int8, or NF4 with doubly quantised scales."""
    if settings.model_quantization == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=getattr(torch, settings.model_dtype),
    )
