"""What the web process costs: CPU per streamed token, and how much later a token arrives than the engine wrote it.

    python -m scripts.bench.web [--streams 300] [--rate 20] [--tokens 200]

A stand-in engine gives every stream a token at the same moments, as a batching engine does: the hardest rhythm, since
each step is a burst of as many writes as there are streams. The client works on the same two cores.
"""

import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from playground.processes import environment, free_ports
from scripts.bench import load, machine, models, peers, results, servers, tokenizer
from scripts.bench.load import Answer, Target
from scripts.bench.paced_engine import STEPS


@click.command()
@click.option("--streams", default=300, show_default=True)
@click.option("--rate", default=20.0, show_default=True, help="Tokens per second and stream.")
@click.option("--tokens", default=200, show_default=True, help="Tokens of each answer.")
@click.option("--out", type=click.Path(path_type=Path), default=results.FOLDER)
def main(streams: int, rate: float, tokens: int, out: Path) -> None:
    """Measure and write web.json."""
    machine.pin()
    folder = models.write(peers.CACHE / "models" / models.SMALL.name, models.SMALL)
    with tempfile.TemporaryDirectory(prefix="bench-") as work:
        row = measure(folder, Path(work), streams=streams, rate=rate, tokens=tokens)
    click.echo(row, err=True)
    command = "python -m scripts.bench.web " + " ".join(sys.argv[1:])
    results.write("web", command.strip(), {"streams": streams, "rate": rate, "row": row}, out)


def measure(folder: Path, work: Path, *, streams: int, rate: float, tokens: int) -> dict[str, Any]:
    """Cost and delay of `streams` answers at once; `work` is an empty folder with a short name."""
    words = servers.words_of(folder)
    steps = _steps(tokenizer.words(words))
    (work / "r").mkdir()
    times = work / "times.json"
    texts = load.prompts(words, streams, seed=5, tokens=(64, 192))
    engine = [sys.executable, "-m", "scripts.bench.paced_engine", str(work / "r" / "engine.sock")]
    engine += [str(tokenizer.FIRST_WORD), str(rate), str(times)]
    (port,) = free_ports([0])
    web = [sys.executable, "-m", "tool_server", "web"]
    with servers.running(engine, environment(), work / "engine.log") as paced:
        with servers.running(
            web, _environ(folder, work, port, streams), work / "web.log"
        ) as server:
            url = f"http://127.0.0.1:{port}"
            servers.wait_for(server, f"{url}/health/live", work / "web.log")
            target = Target(url, "private-deepseek", servers.key_of(work), {"temperature": 0})
            load.ask_all(target, texts[:4], streams=4, max_tokens=4)
            cpu_s, began = machine.cpu_s(server.pid), time.monotonic()
            answers = load.ask_all(target, texts, streams=streams, max_tokens=tokens)
            seconds, cpu_s = time.monotonic() - began, machine.cpu_s(server.pid) - cpu_s
        paced.terminate()
        paced.wait(10)
    sent = {int(number): at for number, at in json.loads(times.read_text()).items()}
    return _figures(answers, sent, steps, seconds, cpu_s)


def _environ(folder: Path, work: Path, port: int, streams: int) -> dict[str, str]:
    return environment(
        SHENQIAO_DATA_DIR=str(work / "data"),
        SHENQIAO_RUN_DIR=str(work / "r"),
        SHENQIAO_PORT=str(port),
        SHENQIAO_MODEL_PATH=str(folder),
        SHENQIAO_WEB_THREADS=str(streams + 20),
        SHENQIAO_KNOWLEDGE_ENABLED="false",
        SHENQIAO_CHANNEL_ENABLED="false",
    )


def _steps(words: Mapping[str, int]) -> dict[str, int]:
    """By word the step that it stands for."""
    numbers = {word: number - tokenizer.FIRST_WORD for word, number in words.items()}
    return {word: number for word, number in numbers.items() if number < STEPS}


def _figures(
    answers: Sequence[Answer],
    sent: Mapping[int, float],
    steps: Mapping[str, int],
    seconds: float,
    cpu_s: float,
) -> dict[str, Any]:
    """Cost and delay; an event with several tokens counts for its last, which it could not show before."""
    tokens = sum(answer.completion_tokens for answer in answers)
    events = [event for answer in answers for event in answer.events]
    late = [event.at - sent[steps[event.text.split()[-1]]] for event in events]
    return {
        "tokens": tokens,
        "events": len(events),
        "tokens_per_s": round(tokens / seconds, 1),
        "cpu_us_per_token": round(cpu_s * 1e6 / tokens, 1),
        "added_latency_p50_ms": round(results.percentile(late, 50) * 1000, 2),
        "added_latency_p99_ms": round(results.percentile(late, 99) * 1000, 2),
        "wait_for_first_event_p50_ms": round(
            results.percentile([answer.first_token_s for answer in answers], 50) * 1000, 1
        ),
    }


if __name__ == "__main__":
    main()
