"""Random Qwen2 checkpoints with a tokenizer and a chat template: speed does not depend on what the weights say.

    python -m scripts.bench.models FOLDER SHAPE

The rows of all tokens but whole words are zero, so their logits are 0 and never the largest: no greedy answer ends by
itself, in any engine, nothing has to be told to ignore the end, and every token is text that can be shown at once.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from transformers import GenerationConfig, Qwen2Config, Qwen2ForCausalLM

from scripts.bench import tokenizer

type Dtype = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class Shape:
    """Sizes of a Qwen2 model; `layers` is all that a shortened copy differs in."""

    name: str
    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    vocabulary: int
    positions: int
    tied: bool = True


# The first two are those of the CPU comparison, the third has the sizes of DeepSeek-R1-Distill-Qwen-7B.
SMALL = Shape("6.5M", 256, 704, 6, 4, 2, 8000, 2048)
MIDDLE = Shape("100M", 896, 2432, 12, 14, 2, 8000, 2048)
SEVEN = Shape("7B", 3584, 18944, 28, 28, 4, 152_064, 131_072, tied=False)
SHAPES = {shape.name: shape for shape in (SMALL, MIDDLE, SEVEN)}


def config(shape: Shape) -> Qwen2Config:
    """The config of a shape, as its config.json says it."""
    end = shape.vocabulary - 1
    return Qwen2Config(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        max_position_embeddings=shape.positions,
        tie_word_embeddings=shape.tied,
        bos_token_id=None,
        eos_token_id=end,
        pad_token_id=end - 2,
    )


def write(
    folder: Path, shape: Shape, *, dtype: Dtype = "float32", device: str = "cpu", seed: int = 1
) -> Path:
    """Make the checkpoint once; a folder that is whole already stays as it is."""
    done = folder / "shape.json"
    if done.is_file():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    with torch.device(device):
        model = Qwen2ForCausalLM._from_config(config(shape), dtype=getattr(torch, dtype))
    with torch.no_grad():
        for weight in (model.get_input_embeddings().weight, model.get_output_embeddings().weight):
            weight[: tokenizer.FIRST_WORD] = 0
            weight[-len(tokenizer.SPECIAL) :] = 0
    end = shape.vocabulary - 1
    model.generation_config = GenerationConfig(eos_token_id=end, pad_token_id=end - 2)
    model.save_pretrained(folder)
    tokenizer.save(folder, shape.vocabulary)
    done.write_text(json.dumps({"parameters": model.num_parameters(), "dtype": dtype}))
    return folder


def parameters(folder: Path) -> int:
    """How many numbers the checkpoint in `folder` has."""
    return int(json.loads((folder / "shape.json").read_text())["parameters"])


if __name__ == "__main__":
    print(parameters(write(Path(sys.argv[1]), SHAPES[sys.argv[2]])))
