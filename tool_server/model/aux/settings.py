"""The auxiliary models' settings; read through `tool_server.settings.Settings`."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field


class AuxSettings(BaseModel):
    """Which auxiliary models are served, and what their process may use. A kind without a path is not served."""

    model_embedding_path: Path = Field(
        Path(),
        description="Folder of the embedding model: config.json, weights, tokenizer.json; empty: none.",
    )
    model_embedding_name: str = Field(
        "private-embedding",
        min_length=1,
        max_length=128,
        description="Name under which clients ask for embeddings.",
    )
    model_embedding_pooling: Literal["auto", "mean", "cls", "last"] = Field(
        "auto",
        description="How tokens become one vector; auto: as the folder's `1_Pooling` says, else by architecture.",
    )
    model_embedding_matryoshka: bool = Field(
        False,
        description="The model was trained so that a vector's beginning can stand for it: allows `dimensions`.",
    )
    model_embedding_max_batch: int = Field(
        64, ge=1, le=2048, description="Texts that one request for embeddings may have."
    )
    model_embedding_max_tokens: int = Field(
        8192,
        ge=1,
        description="Tokens that one text to embed may have; the model's own limit holds as well.",
    )
    model_rerank_path: Path = Field(
        Path(), description="Folder of the rerank model; empty: none is served."
    )
    model_rerank_name: str = Field(
        "private-rerank",
        min_length=1,
        max_length=128,
        description="Name under which clients ask for a ranking.",
    )
    model_rerank_max_documents: int = Field(
        128, ge=1, le=2048, description="Documents that one request for a ranking may have."
    )
    model_rerank_max_tokens: int = Field(
        2048,
        ge=64,
        description="Tokens of query and document together; of a longer document only the beginning is read.",
    )
    model_speech_path: Path = Field(
        Path(), description="Folder of the Whisper model; empty: none is served."
    )
    model_speech_name: str = Field(
        "private-speech",
        min_length=1,
        max_length=128,
        description="Name under which clients ask for transcriptions.",
    )
    model_speech_language: str = Field(
        "zh",
        pattern="^(auto|[a-z]{2,3})$",
        description="Language of a recording whose request names none; auto: the model listens for it.",
    )
    model_speech_max_mb: int = Field(
        25, ge=1, le=40, description="Megabytes that one recording may have."
    )
    model_speech_max_s: int = Field(
        600, ge=1, le=7200, description="Seconds that one recording may last."
    )
    model_speech_max_queued: int = Field(
        8, ge=1, le=1000, description="Recordings in work or waiting; one more gets a 429 at once."
    )
    model_guard_path: Path = Field(
        Path(), description="Folder of the guard model (Qwen3Guard-Gen class); empty: none."
    )
    model_guard_name: str = Field(
        "private-moderation",
        min_length=1,
        max_length=128,
        description="Name under which clients ask for moderation.",
    )
    model_guard_max_tokens: int = Field(
        4096,
        ge=256,
        description="Tokens that the guard reads at once; longer answers are checked in parts.",
    )
    model_aux_memory_mb: int = Field(
        6144,
        ge=1,
        description="Megabytes of auxiliary weights in memory; beyond it the least recently used model is unloaded.",
    )
    model_aux_preload: bool = Field(
        False,
        description="Load the auxiliary models at the start, as far as they fit; else with their first request.",
    )
    model_aux_idle_s: int = Field(
        0,
        ge=0,
        description="An auxiliary model that was not used for this long is unloaded; 0: never.",
    )
    model_aux_device: Literal["cpu", "cuda"] = Field(
        "cpu", description="Where the auxiliary models run."
    )
    model_aux_dtype: Literal["float32", "bfloat16"] = Field(
        "float32", description="Number format of the auxiliary models."
    )
    model_aux_threads: int = Field(
        1, ge=1, le=256, description="CPU threads of one forward of an auxiliary model."
    )
    model_aux_batch_tokens: int = Field(
        8192,
        ge=64,
        description="Tokens, padding counted, of one forward of embedding or rerank; a longer text goes alone.",
    )
    model_aux_window_ms: int = Field(
        5, ge=0, le=1000, description="How long a text waits for others to share its forward."
    )
    model_aux_max_queued: int = Field(
        64, ge=1, le=10000, description="Requests per auxiliary model; one more gets a 429 at once."
    )
    model_aux_max_queued_tokens: int = Field(
        500_000,
        ge=1,
        description="Tokens that wait per auxiliary model; a request that finds none waiting is always taken.",
    )
    model_aux_timeout_s: int = Field(
        300, ge=1, le=3600, description="How long a request waits for an auxiliary model's answer."
    )
