"""What a model's folder says about itself, without loading it: limits, pooling, size; read by web and aux process."""

import json
import struct
from math import prod
from pathlib import Path
from typing import Any, Literal

type Pooling = Literal["mean", "cls", "last"]

POOLINGS: dict[str, Pooling] = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_lasttoken": "last",
}
NAMED_POOLINGS: dict[str, Pooling] = {"mean": "mean", "cls": "cls", "lasttoken": "last"}
# Parts of a sentence-transformers model that are done here; any other would change the vectors.
MODULES = ("Transformer", "Pooling", "Normalize")
# Model types whose tokens see only those before them, whatever head the checkpoint was saved with.
DECODERS = ("qwen2", "qwen3", "llama", "mistral")
FLOATS = ("F64", "F32", "F16", "BF16")
# A safetensors header of a real model has some hundred kilobytes.
HEADER_LIMIT = 100 * 1024 * 1024


class LoadError(Exception):
    """The folder holds no model of this kind that can be loaded; a sentence for the operator's log."""


class Checkpoint:
    """The files of one model's folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = read_json(path / "config.json")

    @property
    def model_type(self) -> str:
        return str(self.config.get("model_type", ""))

    @property
    def architecture(self) -> str:
        return str((self.config.get("architectures") or [""])[0])

    @property
    def causal(self) -> bool:
        """Whether each token sees only those before it."""
        return self.architecture.endswith("ForCausalLM") or self.model_type in DECODERS

    @property
    def dimensions(self) -> int:
        return int(self.config.get("hidden_size") or self.config.get("d_model") or 0)

    @property
    def context_tokens(self) -> int:
        """Most tokens of one input: by the positions, and by sentence-transformers' own limit if there is one."""
        positions = int(self.config.get("max_position_embeddings", 512))
        if "roberta" in self.model_type:  # their positions begin after the padding's
            positions -= int(self.config.get("pad_token_id") or 0) + 1
        own = read_json(self.path / "sentence_bert_config.json").get("max_seq_length")
        return min(positions, int(own)) if own else positions

    def pooling(self) -> Pooling:
        """As sentence-transformers' files say, else by the architecture. Raises `LoadError`."""
        self._check_modules()
        config = read_json(self.path / "1_Pooling" / "config.json")
        if not config:
            return "last" if self.causal else "mean"
        named = NAMED_POOLINGS.get(str(config.get("pooling_mode")))
        if named is not None:
            return named
        switched_on = [
            name for name in config if name.startswith("pooling_mode_") and config[name] is True
        ]
        if len(switched_on) != 1 or switched_on[0] not in POOLINGS:
            raise LoadError(f"{self.path}: the pooling {switched_on} is not supported.")
        return POOLINGS[switched_on[0]]

    def weight_bytes(self, float_bytes: int) -> int:
        """Memory that the weights will take when their floats have `float_bytes` each."""
        files = sorted(self.path.glob("*.safetensors"))
        if files:
            return sum(_tensor_bytes(file, float_bytes) for file in files)
        return sum(file.stat().st_size for file in self.path.glob("pytorch_model*.bin"))

    def _check_modules(self) -> None:
        file = self.path / "modules.json"
        modules = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else []
        kinds = [str(module.get("type", "")).rsplit(".", 1)[-1] for module in modules]
        if unknown := [kind for kind in kinds if kind not in MODULES]:
            raise LoadError(f"{self.path}: modules.json names {unknown}, which is not supported.")


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file; empty where there is none."""
    if not path.is_file():
        return {}
    read = json.loads(path.read_text(encoding="utf-8"))
    return read if isinstance(read, dict) else {}


def _tensor_bytes(file: Path, float_bytes: int) -> int:
    with file.open("rb") as content:
        (length,) = struct.unpack("<Q", content.read(8))
        if length > HEADER_LIMIT:
            raise LoadError(f"{file} is not a safetensors file.")
        header = json.loads(content.read(length))
    total = 0
    for name, tensor in header.items():
        if name == "__metadata__":
            continue
        begin, end = tensor["data_offsets"]
        is_float = tensor["dtype"] in FLOATS
        total += prod(tensor["shape"]) * float_bytes if is_float else end - begin
    return total
