"""`evaluate`: how good and how fast the search is on a base, for questions whose answers somebody judged."""

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import get_args

import click
from rich.console import Console
from rich.progress import track

from tool_server import logs
from tool_server.errors import ApiError
from tool_server.knowledge.measures import (
    BadLine,
    Case,
    ndcg,
    read_cases,
    recall,
    reciprocal_rank,
)
from tool_server.knowledge.question import Mode, Passage
from tool_server.knowledge.rights import EVERYTHING
from tool_server.knowledge.search import Knowledge, Question, search
from tool_server.migrate import migrate
from tool_server.settings import load

DEEPEST = 1000
NAMED = 10  # names of questions without a judgement that are written out


@dataclass(frozen=True)
class Figures:
    """Means over the judged questions, at each depth; times in milliseconds."""

    questions: int
    unjudged: tuple[str, ...]
    ndcg: dict[int, float]
    recall: dict[int, float]
    mrr: dict[int, float]
    found: float
    p50_ms: float
    p95_ms: float
    p99_ms: float


@click.command()
@click.option("--base", required=True, help="Name of the knowledge base.")
@click.option(
    "--queries",
    required=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Lines of: question id, tag, text; with tabs between.",
)
@click.option(
    "--qrels",
    required=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Lines of: question id, document id, grade; with tabs between.",
)
@click.option(
    "--top-k",
    "depths",
    multiple=True,
    type=click.IntRange(1, DEEPEST),
    default=(10,),
    show_default=True,
    help="Depth of the measures; several may be given.",
)
@click.option(
    "--mode", type=click.Choice(get_args(Mode.__value__)), default="auto", show_default=True
)
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def evaluate(
    base: str, queries: Path, qrels: Path, depths: tuple[int, ...], mode: Mode, *, as_json: bool
) -> None:
    """Search a base for judged questions and print how good and how fast the answers were.

    A document's id is its source id, or for a line of a .jsonl file the part of it after '#'.
    """
    try:
        cases, unjudged = read_cases(queries, qrels)
    except BadLine as error:
        raise click.ClickException(str(error)) from None
    if not cases:
        raise click.ClickException("None of the questions has a judgement.")
    settings = load()
    logs.configure(settings, "evaluate")
    migrate(settings)
    knowledge = Knowledge.open(settings.model_copy(update={"knowledge_top_k_limit": DEEPEST}))
    try:
        figures = measure(knowledge, base, cases, unjudged, depths=depths, mode=mode, shown=True)
    except ApiError as error:
        raise click.ClickException(error.message) from None
    finally:
        knowledge.catalogue.close()
    click.echo(json.dumps(asdict(figures)) if as_json else "\n".join(lines(figures)))


def measure(
    knowledge: Knowledge,
    base: str,
    cases: Sequence[Case],
    unjudged: Sequence[str] = (),
    *,
    depths: Sequence[int] = (10,),
    mode: Mode = "auto",
    shown: bool = False,
) -> Figures:
    """Each question once, one after the other; `shown`: with a bar on the terminal."""
    deepest = max(depths)
    ranked, seconds, found = [], [], 0
    console = Console(stderr=True)
    waiting = track(
        cases, "searching", console=console, disable=not shown or not console.is_terminal
    )
    for case in waiting:
        started = time.perf_counter()
        question = Question(
            case.text, bases=(base,), top_k=deepest, mode=mode, rights=frozenset({EVERYTHING})
        )
        result = search(knowledge, question)
        seconds.append(time.perf_counter() - started)
        found += result.found
        ranked.append(_documents(result.passages, case, deepest))
    times = statistics.quantiles(seconds * 2, n=100, method="inclusive")

    def mean(measure: Callable[[Sequence[str], dict[str, int], int], float], depth: int) -> float:
        values = [
            measure(names, dict(case.grades), depth)
            for names, case in zip(ranked, cases, strict=True)
        ]
        return round(statistics.mean(values), 4)

    return Figures(
        questions=len(cases),
        unjudged=tuple(unjudged),
        ndcg={depth: mean(ndcg, depth) for depth in depths},
        recall={depth: mean(recall, depth) for depth in depths},
        mrr={depth: mean(reciprocal_rank, depth) for depth in depths},
        found=round(found / len(cases), 4),
        p50_ms=round(times[49] * 1000, 2),
        p95_ms=round(times[94] * 1000, 2),
        p99_ms=round(times[98] * 1000, 2),
    )


def lines(figures: Figures) -> list[str]:
    """The figures for people."""
    text = []
    for name, values in (("nDCG", figures.ndcg), ("recall", figures.recall), ("MRR", figures.mrr)):
        text += [f"{name}@{depth} {value:.3f}" for depth, value in values.items()]
    text.append(f"found {figures.found:.1%} of {figures.questions} questions")
    text.append(f"p50 {figures.p50_ms} ms  p95 {figures.p95_ms} ms  p99 {figures.p99_ms} ms")
    if figures.unjudged:
        more = len(figures.unjudged) - NAMED
        names = ", ".join(figures.unjudged[:NAMED]) + (f" and {more} more" if more > 0 else "")
        text.append(f"without a judgement: {names}")
    return text


def _documents(passages: Sequence[Passage], case: Case, depth: int) -> list[str]:
    """Documents by their best passage, each once, named as the judgements name them.

    A passage stands for its copies too: no ranking can tell apart documents that say the same under the same title,
    and collections judge now the one, now the other.
    """
    sources = (
        source
        for passage in passages
        for source in (passage.source_id, *(copy.source_id for copy in passage.copies))
    )
    names = (name if name in case.grades else name.partition("#")[2] or name for name in sources)
    return list(dict.fromkeys(names))[:depth]
