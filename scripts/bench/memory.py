"""Memory of the weights of a whole 7B, bfloat16 against NF4, embeddings included.

    python -m scripts.bench.memory

Two checkpoints of 7B shapes with one and two layers are loaded by transformers and bitsandbytes, and every byte of
their tensors is counted. All layers have the same shapes, so the whole is the first plus 27 times the difference.
"""

import gc
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import torch
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from scripts.bench import models, peers, results


@click.command()
@click.option("--shape", default=models.SEVEN.name, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=results.FOLDER)
def main(shape: str, out: Path) -> None:
    """Measure and write memory.json."""
    whole = models.SHAPES[shape]
    small, larger = (_checkpoint(whole, layers) for layers in (1, 2))
    row: dict[str, Any] = {"shape": shape, "layers": whole.layers}
    for name, nested in (("bf16", None), ("nf4", False), ("nf4_double", True)):
        one, two = (_bytes(folder, nested) for folder in (small, larger))
        row[f"{name}_gb"] = round((one + (whole.layers - 1) * (two - one)) / 1e9, 3)
    row["nf4_saves"] = round(1 - row["nf4_gb"] / row["bf16_gb"], 4)
    row["nf4_double_saves"] = round(1 - row["nf4_double_gb"] / row["bf16_gb"], 4)
    click.echo(json.dumps(row), err=True)
    command = "python -m scripts.bench.memory " + " ".join(sys.argv[1:])
    results.write("memory", command.strip(), row, out)


def _checkpoint(whole: models.Shape, layers: int) -> Path:
    shape = replace(whole, name=f"{whole.name}-{layers}", layers=layers)
    return models.write(peers.CACHE / "models" / shape.name, shape, dtype="bfloat16")


def _bytes(folder: Path, nested: bool | None) -> int:
    """Bytes of all weights as loaded: as they are (None), or in NF4 whose scales are quantised too (True) or not."""
    options: dict[str, Any] = {}
    if nested is not None:
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=nested,
            bnb_4bit_compute_dtype=torch.bfloat16,
        )
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.bfloat16, local_files_only=True, **options
    )
    total = sum(_tensor_bytes(tensor) for tensor in model.parameters())
    del model
    gc.collect()
    return total


def _tensor_bytes(tensor: torch.nn.Parameter) -> int:
    """A weight's own bytes, and for a quantised one those of its scales."""
    total = tensor.numel() * tensor.element_size()
    state = getattr(tensor, "quant_state", None)
    for part in (state, getattr(state, "state2", None)):
        if part is not None:
            total += sum(t.numel() * t.element_size() for t in (part.absmax, part.code))
    return total


if __name__ == "__main__":
    main()
