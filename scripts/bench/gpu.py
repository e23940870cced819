"""The built-in engine on a GPU: a 7B's shapes with random weights through the real server; `make bench-gpu`.

    python -m scripts.bench.gpu [--kinds bf16,nf4] [--prompts 200,1000,2000] [--streams 1,8,32,64,128,256]

Weights are made on the device and written to a folder, config and tokenizer with them; nothing comes from a hub. No
answer ends by itself. Without a CUDA device it says so, writes nothing and ends well.
"""

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import torch

from scripts.bench import load, models, peers, results, roof, servers
from scripts.bench.compare import figures
from tool_server.settings import Settings

# What the engine calls its quantisation; a build without it is measured in bfloat16 alone.
QUANTISATION = "model_quantization"
PAGE_TOKENS = 256


@click.command()
@click.option("--shape", default=models.SEVEN.name, show_default=True)
@click.option("--kinds", default="bf16,nf4", show_default=True)
@click.option("--prompts", default="200,1000,2000", show_default=True)
@click.option("--streams", default="1,8,32,64,128,256", show_default=True)
@click.option("--tokens", default=128, show_default=True, help="Tokens of each answer.")
@click.option("--seconds", default=480.0, show_default=True, help="No new burst after this time.")
@click.option("--keep", is_flag=True, help="Leave the checkpoint where it was made.")
@click.option("--out", type=click.Path(path_type=Path), default=results.FOLDER)
def main(
    shape: str,
    kinds: str,
    prompts: str,
    streams: str,
    tokens: int,
    seconds: float,
    keep: bool,
    out: Path,
) -> None:
    """Measure and write gpu.json."""
    if not torch.cuda.is_available():
        click.echo("No CUDA device here: not measured.")
        return
    folder = peers.CACHE / "models" / f"{shape}-cuda"
    models.write(folder, models.SHAPES[shape], dtype="bfloat16", device="cuda")
    torch.cuda.empty_cache()
    run = _Run(folder, _numbers(prompts), _numbers(streams), tokens, time.monotonic() + seconds)
    rows: list[dict[str, Any]] = []
    skipped: dict[str, str] = {}
    for kind in kinds.split(","):
        if kind != "bf16" and QUANTISATION not in Settings.model_fields:
            skipped[kind] = "not measured: this engine has no quantisation"
            continue
        try:
            run.kind(kind, rows)
        except load.LoadError as error:
            skipped[kind] = f"not measured: {str(error).strip().splitlines()[-1][:200]}"
    body = {"card": torch.cuda.get_device_name(), "cuda": torch.version.cuda, "shape": shape}
    command = "python -m scripts.bench.gpu " + " ".join(sys.argv[1:])
    results.write("gpu", command.strip(), {**body, "rows": rows, "skipped": skipped}, out)
    click.echo(json.dumps(skipped))
    if not keep:
        shutil.rmtree(folder)


class _Run:
    """One sweep with one checkpoint."""

    def __init__(
        self,
        folder: Path,
        prompts: Sequence[int],
        streams: Sequence[int],
        tokens: int,
        ends_at: float,
    ) -> None:
        self._folder = folder
        self._prompts = prompts
        self._streams = streams
        self._tokens = tokens
        self._ends_at = ends_at
        self._card = roof.card_of(torch.cuda.get_device_name())
        self._words = servers.words_of(folder)

    def kind(self, kind: str, rows: list[dict[str, Any]]) -> None:
        """Every prompt length and number of streams with one number format; appends to `rows` as it goes."""
        with (
            tempfile.TemporaryDirectory(prefix="bench-") as work,
            servers.ours(self._folder, Path(work), self._settings(kind)) as server,
        ):
            self._burst(server, 200, 4, seed=7)
            for prompt in self._prompts:
                for streams in self._streams:
                    if time.monotonic() > self._ends_at:
                        return
                    row = self._burst(server, prompt, streams, seed=prompt * 1000 + streams)
                    row = {"kind": kind, "prompt": prompt, **row, **self._share(kind, prompt, row)}
                    click.echo(json.dumps(row))
                    rows.append(row)

    def _burst(
        self, server: servers.Server, prompt: int, streams: int, *, seed: int
    ) -> dict[str, Any]:
        texts = load.prompts(self._words, streams, seed=seed, tokens=(prompt, prompt))
        cpu_s, began = server.cpu_s(), time.monotonic()
        answers = server.ask(texts, streams=streams, max_tokens=self._tokens)
        seconds, cpu_s = time.monotonic() - began, server.cpu_s() - cpu_s
        last_first = max(answer.events[0].at for answer in answers)
        ends = min(answer.ended_at for answer in answers)
        # While every stream decodes and none is still reading its prompt.
        events = [
            event for answer in answers for event in answer.events if last_first < event.at < ends
        ]
        decode = len(events) / (ends - last_first) if ends > last_first else 0.0
        return {
            "streams": streams,
            **figures(answers, seconds, cpu_s),
            "requests_per_s": round(streams / seconds, 2),
            "decode_tokens_per_s": round(decode, 1),
        }

    def _share(self, kind: str, prompt: int, row: dict[str, Any]) -> dict[str, Any]:
        """How much of what the card could do at most while it only decodes."""
        if self._card is None:
            return {"roof_tokens_per_s": None, "roof_share": None}
        context = prompt + self._tokens // 2
        most = roof.decode_roof(self._card, roof.SEVEN, kind, row["streams"], context)
        return {
            "roof_tokens_per_s": round(most),
            "roof_share": round(row["decode_tokens_per_s"] / most, 3),
        }

    def _settings(self, kind: str) -> dict[str, str]:
        most = max(self._streams) * (max(self._prompts) + self._tokens + PAGE_TOKENS)
        settings = {
            "SHENQIAO_MODEL_DEVICE": "cuda",
            "SHENQIAO_MODEL_DTYPE": "bfloat16",
            "SHENQIAO_MODEL_MAX_RUNNING": str(max(self._streams)),
            "SHENQIAO_MODEL_MAX_QUEUED": "16",
            "SHENQIAO_MODEL_PAGE_TOKENS": str(PAGE_TOKENS),
            "SHENQIAO_MODEL_PAGES": str(most // PAGE_TOKENS + 2),
            "SHENQIAO_MODEL_MAX_BATCH_TOKENS": "8192",
            "SHENQIAO_WEB_THREADS": str(max(self._streams) + 32),
        }
        if kind != "bf16":
            settings[f"SHENQIAO_{QUANTISATION.upper()}"] = kind
        return settings


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


if __name__ == "__main__":
    main()
