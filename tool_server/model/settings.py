"""The model server's settings; read through `tool_server.settings.Settings`."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, SecretStr, field_validator

from tool_server.model.upstream_urls import base_urls


class ModelSettings(BaseModel):
    """Which model, on what, and how much of it at once."""

    model_backend: Literal["engine", "upstream"] = Field(
        "engine",
        description="Who answers: our engine, or OpenAI-compatible engines by URL ([upstream.md](upstream.md)).",
    )
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
    model_upstream_urls: str = Field(
        "",
        description="Base URLs of the upstream engines, separated by commas; one without a path gets `/v1`.",
        json_schema_extra={"hidden": True},
    )
    model_upstream_key: SecretStr = Field(
        SecretStr(""), description="Key that is sent to the upstreams; never shown or logged."
    )
    model_upstream_model: str = Field(
        "",
        max_length=256,
        description="The model's name at the upstreams; empty: the first that each one lists.",
    )
    model_upstream_ca: Path = Field(
        Path(),
        description="PEM file of the authority that signed the upstreams' certificates; empty: the public ones.",
    )
    model_upstream_context_tokens: int = Field(
        0,
        ge=0,
        description="Tokens of prompt and answer together; 0: what the upstreams' `/v1/models` says.",
    )
    model_upstream_reasoning: Literal["auto", "opened", "tagged"] = Field(
        "auto",
        description="Without a reasoning parser upstream: its text begins inside a thought (`opened`) or with `<think>`"
        " (`tagged`); `auto` goes by the model's name.",
    )
    model_upstream_max_running: int = Field(
        64, ge=1, le=10000, description="Answers that the upstreams make at once, all together."
    )
    model_upstream_connect_s: float = Field(
        3.0, gt=0, le=60, description="Seconds to connect to an upstream."
    )
    model_upstream_first_token_s: float = Field(
        180.0,
        gt=0,
        le=3600,
        description="Seconds until the first token, waiting and every try included.",
    )
    model_upstream_silence_s: float = Field(
        60.0,
        gt=0,
        le=3600,
        description="Seconds without a word from an upstream after which a try, or an answer, has failed.",
    )
    model_upstream_probe_s: float = Field(
        5.0, gt=0, le=600, description="Seconds between two looks at an upstream's health."
    )
    model_upstream_failures: int = Field(
        3,
        ge=1,
        le=100,
        description="Failures in a row after which an upstream is left alone until a probe finds it well.",
    )

    @field_validator("model_upstream_urls")
    @classmethod
    def _urls(cls, value: str) -> str:
        return ",".join(base_urls(value))

    model_moderation_name: str = Field(
        "private-moderation",
        min_length=1,
        max_length=128,
        description="Name under which clients ask for moderation.",
    )
    model_moderation_words: Path = Field(
        Path(),
        description="File of words that no answer may hold ([how to write it](moderation.md)); empty: none.",
    )
    model_moderation_separators: bool = Field(
        True,
        description="Find Chinese words also with spaces, dots or the like between their characters.",
    )
    model_guard_controversial: Literal["pass", "block"] = Field(
        "block", description="What becomes of answers that the guard model calls controversial."
    )
    model_guard_required: bool = Field(
        True,
        description="Whether an answer fails when the guard model cannot check it; else it leaves unchecked.",
    )
    model_guard_segment_chars: int = Field(
        120,
        ge=20,
        le=4000,
        description="Characters of a streamed answer that the guard model checks and releases together.",
    )
