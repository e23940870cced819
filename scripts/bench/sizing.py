"""The page `docs/sizing.md`: which card holds which model for how many users; written by `page`."""

from collections.abc import Iterable
from typing import Any

from scripts.bench import roof
from scripts.bench.roof import CARDS, MODELS, SEVEN

CONTEXT = 2000
HEAD = f"""# Sizing

Made by `make docs`. The first two tables are **arithmetic** from public configs and data sheets: bytes of weights, keys
and values per token, memory and bandwidth of a card. They say what fits and what no engine can pass, not how fast this
one is. What was measured is in the last section and in `performance.md`.

- Weights: 2 bytes a parameter in bfloat16; in NF4 half a byte and a 4-byte scale for each 64, embeddings in bfloat16.
- Memory for answers: 90 % of the card, less the weights and 1.5 GiB of working memory.
- An answer holds {CONTEXT:,} tokens of prompt and answer. With prompts of half the length twice as many fit.
- Reasoning models write 500 to 5,000 tokens before they answer, and these count.
- NF4 saves memory. It saves time only where one or few answers are made at once.
"""


def page(gpu: dict[str, Any] | None) -> str:
    """The whole page."""
    return "\n".join([HEAD, *_memory(), *_roofs(), *_measured(gpu)]).rstrip() + "\n"


def _memory() -> Iterable[str]:
    yield f"## Answers of {CONTEXT:,} tokens that a card holds at once (arithmetic)\n"
    yield "0: the weights do not fit.\n"
    names = [card.name for card in CARDS]
    lines = [
        f"| model | weights, GB | KV, KiB per token | {' | '.join(names)} |",
        "|" + "---|" * (len(names) + 3),
    ]
    for model in MODELS:
        for kind in ("bf16", "nf4"):
            counts = " | ".join(str(roof.users(card, model, kind, CONTEXT)) for card in CARDS)
            weight = model.weight_gb(kind)
            lines.append(f"| {model.name} {kind} | {weight:.1f} | {model.kv_kib:.0f} | {counts} |")
    yield "\n".join(lines) + "\n"


def _roofs() -> Iterable[str]:
    yield f"## Decode roof of {SEVEN.name}, tokens/s at 1,000 tokens each (arithmetic)\n"
    streams = (1, 32, 64, 128, 256)
    lines = [
        f"| card | {' | '.join(f'{count} streams' for count in streams)} |",
        "|" + "---|" * (len(streams) + 1),
    ]
    for card in CARDS:
        for kind in ("bf16", "nf4"):
            values = [roof.decode_roof(card, SEVEN, kind, count, 1000) for count in streams]
            row = " | ".join(f"{value:,.0f}" for value in values)
            lines.append(f"| {card.name} {kind} | {row} |")
    yield "\n".join(lines) + "\n"
    yield (
        "People who read do not all wait at once: with answers of 150 tokens at 20 tokens/s and a question every two"
        " minutes, one answer at a time serves about 16 people.\n"
    )


def _measured(gpu: dict[str, Any] | None) -> Iterable[str]:
    yield "## Measured on a GPU\n"
    if gpu is None:
        yield "Not measured. `make bench-gpu` does it where there is a CUDA device.\n"
        return
    yield f"{gpu['card']}, {gpu['machine']['date']}; all figures are in `performance.md`.\n"
    lines = [
        "| format | prompt | most requests/s | at streams | first token p50 |",
        "|---|---|---|---|---|",
    ]
    for kind in dict.fromkeys(row["kind"] for row in gpu["rows"]):
        for prompt in dict.fromkeys(row["prompt"] for row in gpu["rows"] if row["kind"] == kind):
            rows = [row for row in gpu["rows"] if (row["kind"], row["prompt"]) == (kind, prompt)]
            best = max(rows, key=lambda row: float(row["requests_per_s"]))
            lines.append(
                f"| {kind} | {prompt} | {best['requests_per_s']:.1f} | {best['streams']}"
                f" | {best['first_token_p50_s']:.2f} s |"
            )
    yield "\n".join(lines) + "\n"
