"""Ours against what people would pick: same weights, same prompts, same machine, rounds that take turns.

python -m scripts.bench.compare [--rounds 3] [--shape 6.5M] [--streams 1 --streams 16] [--only ours]
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from scripts.bench import load, machine, models, peers, results, servers
from scripts.bench.load import Answer

STREAMS = (1, 4, 16, 32, 64)
PROMPT_TOKENS = (64, 192)
MAX_TOKENS = 64
# A lone stream asks several times, so that a round says more than one answer's luck.
LEAST_REQUESTS = 4
# Compiled for minutes and slow: only beside the model that somebody would run with it.
ONLY_MIDDLE = ("llama-cpp-python",)


@click.command()
@click.option("--rounds", default=3, show_default=True)
@click.option("--shape", "shapes", multiple=True, default=("6.5M", "100M"), show_default=True)
@click.option("--streams", multiple=True, type=int, default=STREAMS, show_default=True)
@click.option("--only", multiple=True, type=click.Choice(list(servers.CONTENDERS)))
@click.option("--append", is_flag=True, help="Keep what is there of other shapes.")
@click.option("--out", type=click.Path(path_type=Path), default=results.FOLDER)
def main(
    rounds: int,
    shapes: Sequence[str],
    streams: Sequence[int],
    only: Sequence[str],
    append: bool,
    out: Path,
) -> None:
    """Measure and write compare.json."""
    machine.pin()
    rows: list[dict[str, Any]] = []
    absent: dict[str, str] = {}
    for shape in shapes:
        names = [
            name
            for name in only or servers.CONTENDERS
            if shape == models.MIDDLE.name or name not in ONLY_MIDDLE
        ]
        rows += _shape(shape, names, rounds, streams, absent)
    body = {"rounds": rounds, "prompt_tokens": PROMPT_TOKENS, "max_tokens": MAX_TOKENS}
    versions = {
        "llama-cpp-python": machine.version_of(
            peers.CACHE / "peers" / "llama" / "bin" / "python", "llama-cpp-python"
        )
    }
    command = ("python -m scripts.bench.compare " + " ".join(sys.argv[1:])).strip()
    if append and (earlier := results.read("compare", out)):
        rows = [row for row in earlier["rows"] if row["shape"] not in shapes] + rows
        absent = earlier["absent"] | absent
        command = f"{earlier['command']} && {command}"
    results.write(
        "compare",
        command,
        {**body, "versions": versions, "absent": absent, "rows": rows},
        out,
    )


def _shape(
    shape: str, names: Sequence[str], rounds: int, streams: Sequence[int], absent: dict[str, str]
) -> list[dict[str, Any]]:
    """All rounds with one model: the medians per contender and number of streams."""
    folder = models.write(peers.CACHE / "models" / shape, models.SHAPES[shape])
    measured: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for number in range(rounds):
        for name in names:
            if name in absent:
                continue
            try:
                for row in _round(name, folder, streams, number):
                    measured.setdefault((name, row["streams"]), []).append(row)
            except (peers.PeerError, load.LoadError) as error:
                absent[name] = str(error).strip().splitlines()[-1][:200]
                click.echo(f"{name}: not measured: {error}", err=True)
    return [
        {"shape": shape, "contender": name, **_median(rows)} for (name, _), rows in measured.items()
    ]


def _round(name: str, folder: Path, streams: Sequence[int], number: int) -> list[dict[str, Any]]:
    """One start of one contender, warmed up, at each number of streams."""
    words = servers.words_of(folder)
    rows = []
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as work,
        servers.CONTENDERS[name](folder, Path(work)) as contender,
    ):
        warm = load.prompts(words, 4, seed=99, tokens=PROMPT_TOKENS)
        contender.ask(warm, streams=2, max_tokens=16)
        for count in streams:
            texts = load.prompts(
                words,
                max(count, LEAST_REQUESTS),
                seed=1000 * number + count,
                tokens=PROMPT_TOKENS,
            )
            row = {"streams": count, **_measure(contender, texts, count)}
            click.echo(f"{folder.name} round {number + 1} {name} {row}", err=True)
            rows.append(row)
    return rows


def _measure(contender: servers.Contender, texts: list[str], streams: int) -> dict[str, Any]:
    cpu_s, started = contender.cpu_s(), time.monotonic()
    answers = contender.ask(texts, streams=streams, max_tokens=MAX_TOKENS)
    seconds = time.monotonic() - started
    cpu_s = contender.cpu_s() - cpu_s
    return figures(answers, seconds, cpu_s)


def figures(answers: Sequence[Answer], seconds: float, cpu_s: float) -> dict[str, Any]:
    """Rates and times of one burst."""
    tokens = sum(answer.completion_tokens for answer in answers)
    waits = [answer.first_token_s for answer in answers]
    prompts = [answer.prompt_tokens for answer in answers]
    return {
        "requests": len(answers),
        "tokens": tokens,
        "prompt_tokens": None if None in prompts else sum(filter(None, prompts)),
        "counted_by": answers[0].counted_by,
        "tokens_per_s": round(tokens / seconds, 2),
        "first_token_p50_s": round(results.percentile(waits, 50), 4),
        "first_token_p99_s": round(results.percentile(waits, 99), 4),
        "cpu_ms_per_token": round(cpu_s * 1000 / tokens, 3),
    }


def _median(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Numbers become medians over the rounds, and the tokens per second keep all their values."""
    merged = dict(rows[0])
    for name, value in rows[0].items():
        if isinstance(value, float):
            merged[name] = round(statistics.median(row[name] for row in rows), 4)
    merged["all_tokens_per_s"] = [row["tokens_per_s"] for row in rows]
    return merged


if __name__ == "__main__":
    main()
