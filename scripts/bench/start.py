"""Cold start: from the process's start to the first token of the demo model, by parts; and what a 7B model adds.

    python -m scripts.bench.start [--runs 3]

A run starts `serve` as an operator does and asks until it answers. The parts are measured in a process of their own.
What a 7B adds is arithmetic on a measured rate: a checkpoint of its shapes with two layers is loaded, warm and cold.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from playground.processes import environment, free_ports
from scripts.bench import load, machine, models, peers, results, servers
from scripts.bench.load import Target

# Seconds and CPU seconds by part.
type Parts = dict[str, tuple[float, float]]

DEMO_MODEL = peers.ROOT / "playground" / "demo_model"
QUESTION = "How many days of annual leave do I have?"
POLL_S = 0.05
SEVEN_BF16_BYTES = 15.23e9


@click.command()
@click.option("--runs", default=3, show_default=True)
@click.option(
    "--seven/--no-seven", default=True, help="Measure what a 7B adds (a 3 GB checkpoint)."
)
@click.option("--out", type=click.Path(path_type=Path), default=results.FOLDER)
def main(runs: int, seven: bool, out: Path) -> None:
    """Measure and write start.json."""
    machine.pin()
    starts = [_start() for _ in range(runs)]
    parts = [_parts(DEMO_MODEL) for _ in range(runs)]
    body: dict[str, Any] = {
        "first_token_s": starts,
        "median_s": round(statistics.median(starts), 2),
        "parts_s": _medians(parts, 0),
        "parts_cpu_s": _medians(parts, 1),
        "seven": _seven() if seven else None,
    }
    click.echo(json.dumps(body), err=True)
    command = "python -m scripts.bench.start " + " ".join(sys.argv[1:])
    results.write("start", command.strip(), body, out)


def _start() -> float:
    """Seconds from the start of `serve` to the first token, in a new installation."""
    (port,) = free_ports([0])
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        work = Path(name)
        environ = environment(
            SHENQIAO_DATA_DIR=str(work / "data"),
            SHENQIAO_RUN_DIR=str(work / "r"),
            SHENQIAO_PORT=str(port),
            SHENQIAO_MODEL_PATH=str(DEMO_MODEL),
            SHENQIAO_CHANNEL_ENABLED="false",
            SHENQIAO_KNOWLEDGE_ENABLED="false",
        )
        command = [sys.executable, "-m", "tool_server", "serve"]
        began = time.monotonic()
        with servers.running(command, environ, work / "log"):
            _wait_for_key(work)
            target = Target(f"http://127.0.0.1:{port}", "private-deepseek", servers.key_of(work))
            while True:
                try:
                    answer = load.ask_all(target, [QUESTION], streams=1, max_tokens=8)[0]
                except (load.LoadError, OSError):
                    time.sleep(POLL_S)
                    continue
                return round(answer.events[0].at - began, 2)


def _wait_for_key(work: Path) -> None:
    deadline = time.monotonic() + servers.START_S
    while not (work / "data" / "keys.json").exists():
        if time.monotonic() > deadline:
            raise load.LoadError((work / "log").read_text(errors="replace")[-1000:])
        time.sleep(POLL_S)


def _medians(parts: Sequence[Parts], which: int) -> dict[str, float]:
    return {
        name: round(statistics.median(part[name][which] for part in parts), 3) for name in parts[0]
    }


def _parts(folder: Path, dtype: models.Dtype = "float32") -> Parts:
    """What the engine process spends its start on, by the product's own functions."""
    command = [sys.executable, "-m", "scripts.bench.start_parts", str(folder), str(time.time())]
    environ = environment(
        SHENQIAO_MODEL_PATH=str(folder), SHENQIAO_MODEL_DTYPE=dtype, **servers.ONE_THREAD
    )
    run = subprocess.run(
        command, env=environ, cwd=peers.ROOT, capture_output=True, text=True, check=False
    )
    if run.returncode != 0:
        raise load.LoadError(run.stderr[-1500:])
    read: Parts = json.loads(run.stdout.splitlines()[-1])
    return read


def _seven() -> dict[str, Any]:
    """Loading rate of 7B shapes in bfloat16, from the page cache and from the disk."""
    folder = two_layers()
    size = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    _read(folder)
    warm = min(_read(folder) for _ in range(2))
    for file in folder.glob("*.safetensors"):
        _forget(file)
    cold = _read(folder)
    return {
        "checkpoint_gb": round(size / 1e9, 2),
        "warm_s_per_gb": round(warm / size * 1e9, 3),
        "cold_s_per_gb": round(cold / size * 1e9, 3),
        "whole_gb": SEVEN_BF16_BYTES / 1e9,
        "whole_warm_s": round(warm / size * SEVEN_BF16_BYTES, 1),
        "whole_cold_s": round(cold / size * SEVEN_BF16_BYTES, 1),
    }


def _read(folder: Path) -> float:
    return _parts(folder, "bfloat16")["read the weights"][0]


def two_layers() -> Path:
    """A bfloat16 checkpoint of 7B shapes with two of the 28 layers, 3.1 GB."""
    shape = replace(models.SEVEN, name="7B-2", layers=2)
    return models.write(peers.CACHE / "models" / shape.name, shape, dtype="bfloat16")


def _forget(file: Path) -> None:
    """Ask the kernel to drop a file from its page cache, so that the next reading is from the disk."""
    descriptor = os.open(file, os.O_RDONLY)
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)


if __name__ == "__main__":
    main()
