"""The model server's settings; read through `tool_server.settings.Settings`."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field


class ModelSettings(BaseModel):
    """Which model, on what, and how much of it at once."""

    model_path: Path = Field(
        Path(),
        description="Folder of the model: config.json, *.safetensors, tokenizer.json, a chat template.",
    )
    model_name: str = Field(
        "private-deepseek",
        min_length=1,
        max_length=128,
        description="Name under which clients ask for the model.",
    )
    model_device: Literal["cpu", "cuda"] = Field("cpu", description="Where the model runs.")
    model_engine: Literal["auto", "batches", "sequential"] = Field(
        "auto",
        description="How tokens are made: in batches (Qwen2, Qwen3, Llama), or one request after another; auto goes by "
        "the architecture.",
    )
    model_quantization: Literal["none", "int8", "nf4"] = Field(
        "none",
        description="Weights in 8 or 4 bits (bitsandbytes): less memory; on datacentre GPUs slower than bfloat16.",
    )
    model_gpu_share: float = Field(
        0.85,
        gt=0,
        le=1,
        description="Share of a GPU's free memory that the key-value cache may take when SHENQIAO_MODEL_PAGES is 0.",
    )
    model_dtype: Literal["float32", "bfloat16"] = Field(
        "float32",
        description="Number format of weights and activations; bfloat16 on GPUs and on CPUs that have it.",
    )
    model_threads: int = Field(
        1,
        ge=1,
        le=256,
        description="CPU threads of one engine step; leave a core for everything else.",
    )
    model_max_batch_tokens: int = Field(
        1024,
        ge=16,
        le=65536,
        description="Token budget of one engine step; long prompts are split over steps.",
    )
    model_page_tokens: int = Field(
        32, ge=8, le=1024, description="Tokens of one page of the key-value cache."
    )
    model_pages: int = Field(
        512,
        ge=0,
        description="Pages of the key-value cache: with the tokens of one page, its size; 0 goes by the GPU's memory.",
    )
    model_max_running: int = Field(
        16, ge=1, le=1024, description="Answers that the engine makes at once."
    )
    model_max_queued: int = Field(
        64,
        ge=0,
        le=10000,
        description="Requests that wait for the engine; one more gets a 429 at once.",
    )
    model_max_prompt_tokens: int = Field(
        8192,
        ge=1,
        description="Tokens that one prompt may have; the model's own limit holds as well.",
    )
    model_max_tokens: int = Field(
        4096, ge=1, description="Most tokens of one answer, reasoning included."
    )
    model_reasoning_tokens: int = Field(
        0,
        ge=0,
        description="Most tokens of reasoning; then the block is closed and the answer begins. 0: no bound.",
    )
    model_default_max_tokens: int = Field(
        1024, ge=1, description="Tokens of an answer whose request names no limit."
    )
