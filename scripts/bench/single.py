"""One stream alone: CPU per token of the whole server against plain `generate`, in pairs that take turns.

python -m scripts.bench.single [--pairs 5] [--shape 6.5M --shape 100M]
"""

import contextlib
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from scripts.bench import load, machine, models, peers, results, servers
from scripts.bench.compare import MAX_TOKENS, PROMPT_TOKENS

REQUESTS = 4


@click.command()
@click.option("--pairs", default=5, show_default=True)
@click.option("--shape", "shapes", multiple=True, default=("6.5M", "100M"), show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=results.FOLDER)
def main(pairs: int, shapes: Sequence[str], out: Path) -> None:
    """Measure and write single.json."""
    machine.pin()
    rows = [_shape(shape, pairs) for shape in shapes]
    command = "python -m scripts.bench.single " + " ".join(sys.argv[1:])
    body = {"prompt_tokens": PROMPT_TOKENS, "max_tokens": MAX_TOKENS, "rows": rows}
    results.write("single", command.strip(), body, out)


def _shape(shape: str, pairs: int) -> dict[str, Any]:
    """Both are up, and quiet while the other works: what ours spends then is not counted for either."""
    folder = models.write(peers.CACHE / "models" / shape, models.SHAPES[shape])
    words = servers.words_of(folder)
    with contextlib.ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        both = (
            stack.enter_context(servers.ours(folder, work)),
            stack.enter_context(servers.sequential(folder, work)),
        )
        for contender in both:
            contender.ask(
                load.prompts(words, 2, seed=98, tokens=PROMPT_TOKENS), streams=1, max_tokens=8
            )
        costs: list[tuple[float, float]] = []
        for number in range(pairs):
            texts = load.prompts(words, REQUESTS, seed=500 + number, tokens=PROMPT_TOKENS)
            ours, plain = (_cpu_ms(contender, texts) for contender in both)
            click.echo(
                f"{shape} pair {number + 1}: ours {ours:.2f}, generate {plain:.2f}", err=True
            )
            costs.append((ours, plain))
    ratios = [ours / plain for ours, plain in costs]
    return {
        "shape": shape,
        "ours_cpu_ms_per_token": [round(ours, 3) for ours, _ in costs],
        "generate_cpu_ms_per_token": [round(plain, 3) for _, plain in costs],
        "ratio_median": round(statistics.median(ratios), 3),
    }


def _cpu_ms(contender: servers.Contender, texts: Sequence[str]) -> float:
    before = contender.cpu_s()
    answers = contender.ask(texts, streams=1, max_tokens=MAX_TOKENS)
    spent = contender.cpu_s() - before
    return spent * 1000 / sum(answer.completion_tokens for answer in answers)


if __name__ == "__main__":
    main()
