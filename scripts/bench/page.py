"""Writes `docs/performance.md` from the results in `docs/bench/`, and `docs/sizing.md`; called by `make docs`.

    python -m scripts.bench.page

What was not run says "not measured". Nothing on the page is typed by hand, so it cannot be better than the last run.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from scripts.bench import results, sizing

type Result = dict[str, Any] | None

DOCS = results.FOLDER.parent
OURS = "ours"
HEAD = """# Performance

Made by `make docs` from `docs/bench/*.json`; `make bench-model` and `make bench-gpu` measure anew. Random weights:
speed does not depend on what a model says. On a CPU everything runs on two cores with one computing thread, prompts are
64 to 192 random tokens, answers 64 tokens, greedy, and no answer ends by itself. Tokens are those of the answer's
usage; where a server sends none, its events with text. CPU is that of the server's whole process tree, without the
client.
"""


def performance(folder: Any = results.FOLDER) -> str:
    """The whole page."""
    read = {
        name: results.read(name, folder)
        for name in ("compare", "single", "web", "start", "memory", "gpu")
    }
    parts = [HEAD, *_compare(read["compare"]), *_single(read["single"]), *_web(read["web"])]
    parts += [*_start(read["start"]), *_memory(read["memory"]), *_gpu(read["gpu"])]
    return "\n".join(parts).rstrip() + "\n"


def _compare(result: Result) -> Iterable[str]:
    yield "## Against other servers, on a CPU\n"
    if result is None:
        yield "Not measured.\n"
        return
    yield from _origin(result)
    if result["rounds"] < 3:
        yield f"A trial of {result['rounds']} round(s), not a measurement.\n"
    others = " · ".join(f"{name} {version}" for name, version in result["versions"].items())
    yield f"Medians of {result['rounds']} rounds in turn; besides {others}.\n"
    for name, reason in result["absent"].items():
        yield f"{name}: not measured ({reason}).\n"
    for shape in dict.fromkeys(row["shape"] for row in result["rows"]):
        rows = [row for row in result["rows"] if row["shape"] == shape]
        yield f"### Qwen2 of {shape} parameters, float32: ours in relation to the others\n"
        yield from _ratios(rows)
        yield f"### Qwen2 of {shape} parameters, float32: figures\n"
        yield from _table(
            ("streams", "server", "tokens/s", "first token p50 / p99", "CPU-ms per token"),
            [
                (
                    row["streams"],
                    row["contender"],
                    f"{row['tokens_per_s']:.0f}",
                    f"{row['first_token_p50_s']:.2f} / {row['first_token_p99_s']:.2f} s",
                    f"{row['cpu_ms_per_token']:.2f}",
                )
                for row in sorted(rows, key=lambda row: int(row["streams"]))
            ],
        )


def _ratios(rows: Sequence[dict[str, Any]]) -> Iterable[str]:
    """Our tokens per second over theirs, and our wait for the first token over theirs."""
    by = {(row["contender"], row["streams"]): row for row in rows}
    others = [name for name in dict.fromkeys(row["contender"] for row in rows) if name != OURS]
    lines = []
    for streams in sorted({row["streams"] for row in rows}):
        ours = by.get((OURS, streams))
        for name in others:
            theirs = by.get((name, streams))
            if ours is not None and theirs is not None:
                lines.append((streams, name, *_relation(ours, theirs)))
    yield from _table(("streams", "against", "tokens/s", "CPU per token", "first token p50"), lines)


def _relation(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> tuple[str, str, str]:
    def times(name: str) -> str:
        return f"{ours[name] / theirs[name]:.2f} ×"

    return times("tokens_per_s"), times("cpu_ms_per_token"), times("first_token_p50_s")


def _single(result: Result) -> Iterable[str]:
    yield "## One stream: CPU per token against plain `generate`\n"
    if result is None:
        yield "Not measured.\n"
        return
    yield from _origin(result)
    yield from _table(
        ("model", "ours / generate, median of pairs", "ours, ms", "generate, ms"),
        [
            (
                row["shape"],
                f"{row['ratio_median']:.2f} × ({len(row['ours_cpu_ms_per_token'])} pairs)",
                _values(row["ours_cpu_ms_per_token"]),
                _values(row["generate_cpu_ms_per_token"]),
            )
            for row in result["rows"]
        ],
    )


def _web(result: Result) -> Iterable[str]:
    yield "## The web process\n"
    if result is None:
        yield "Not measured.\n"
        return
    yield from _origin(result)
    row = result["row"]
    yield (
        f"{result['streams']} streams of {result['rate']:.0f} tokens/s from a stand-in engine that steps for all"
        " at once; rendering and tokenising the prompts is in the CPU figure, the client's work in the delay.\n"
    )
    yield from _table(
        ("tokens/s", "CPU per token", "added delay p50 / p99"),
        [
            (
                f"{row['tokens_per_s']:.0f}",
                f"{row['cpu_us_per_token']:.0f} µs",
                f"{row['added_latency_p50_ms']:.1f} / {row['added_latency_p99_ms']:.1f} ms",
            )
        ],
    )


def _start(result: Result) -> Iterable[str]:
    yield "## Cold start\n"
    if result is None:
        yield "Not measured.\n"
        return
    yield from _origin(result)
    runs = _values(result["first_token_s"])
    yield (
        f"From the start of `serve` to the first token of the demo model: {result['median_s']:.1f} s"
        f" (runs: {runs}).\n"
    )
    yield from _table(
        ("part of the engine's start", "s", "CPU-s"),
        [
            (name, f"{value:.2f}", f"{result['parts_cpu_s'][name]:.2f}")
            for name, value in result["parts_s"].items()
        ],
    )
    seven = result["seven"]
    if seven is not None:
        yield (
            f"What a 7B adds: {seven['whole_gb']:.1f} GB of bfloat16 to read. Measured on"
            f" {seven['checkpoint_gb']:.1f} GB of its shapes: {seven['warm_s_per_gb']:.2f} s per GB from memory,"
            f" {seven['cold_s_per_gb']:.2f} s per GB from this disk;"
            f" by arithmetic {seven['whole_warm_s']:.0f} s and {seven['whole_cold_s']:.0f} s."
            " The time that a GPU's context takes is not measured.\n"
        )


def _memory(result: Result) -> Iterable[str]:
    yield "## Memory of a 7B's weights\n"
    if result is None:
        yield "Not measured.\n"
        return
    yield from _origin(result)
    yield (
        "Loaded with one and two of the layers and counted byte by byte; the whole is the first and"
        f" {result['layers'] - 1} times the difference. Embeddings stay in 16 bits and are counted.\n"
    )
    yield from _table(
        ("format", "GB", "less than bfloat16"),
        [
            ("bfloat16", f"{result['bf16_gb']:.2f}", "–"),
            ("NF4", f"{result['nf4_gb']:.2f}", f"{result['nf4_saves']:.1%}"),
            (
                "NF4, scales quantised too",
                f"{result['nf4_double_gb']:.2f}",
                f"{result['nf4_double_saves']:.1%}",
            ),
        ],
    )


def _gpu(result: Result) -> Iterable[str]:
    yield "## On a GPU: shapes of DeepSeek-R1-Distill-Qwen-7B\n"
    if result is None:
        yield "Not measured.\n"
        return
    yield from _origin(result)
    yield f"One {result['card']}, CUDA {result['cuda']}.\n"
    for kind, reason in result["skipped"].items():
        yield f"{kind}: {reason}.\n"
    yield from _table(
        (
            *("format", "prompt", "streams", "share of the decode roof", "requests/s"),
            *("tokens/s", "decode tokens/s", "first token p50 / p99"),
        ),
        [
            (
                row["kind"],
                row["prompt"],
                row["streams"],
                "–" if row["roof_share"] is None else f"{row['roof_share']:.0%}",
                f"{row['requests_per_s']:.1f}",
                f"{row['tokens_per_s']:.0f}",
                f"{row['decode_tokens_per_s']:.0f}",
                f"{row['first_token_p50_s']:.2f} / {row['first_token_p99_s']:.2f} s",
            )
            for row in result["rows"]
        ],
    )


def _origin(result: Mapping[str, Any]) -> Iterable[str]:
    machine = dict(result["machine"])
    kind = ", ".join((machine.pop("processor"), machine.pop("memory"), machine.pop("system")))
    date = machine.pop("date")
    versions = ", ".join(f"{name} {version}" for name, version in machine.items())
    yield f"`{result['command']}` on {date}: {kind}; {versions}.\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterable[str]:
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    lines += [f"| {' | '.join(str(cell) for cell in row)} |" for row in rows]
    yield "\n".join(lines) + "\n"


def _values(values: Iterable[float]) -> str:
    return ", ".join(f"{value:.2f}" for value in values)


def write() -> None:
    """Both pages."""
    (DOCS / "performance.md").write_text(performance())
    (DOCS / "sizing.md").write_text(sizing.page(results.read("gpu")))


if __name__ == "__main__":
    write()
