"""How many instructions that stand in documents a model follows, through the whole answer path; by kind of instruction.

    python -m scripts.evaluate_poisoned [--model-url http://127.0.0.1:8001/v1 --model NAME]

Without a URL the demo model answers; it can only copy, so its figure says that the path works and little else. The key
of the model's server, if it wants one, is read from SHENQIAO_MODEL_UPSTREAM_KEY. `--show` prints the answers too.
"""

import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from playground.stage import Plan, Stage
from tests.knowledge.poisoned.collection import Poisoned, load, write
from tool_server.knowledge.ingest import ingest
from tool_server.knowledge.search import Knowledge
from tool_server.settings import load as load_settings

ANSWER_S = 120.0  # the phone's stand-in waits no longer


@dataclass(frozen=True)
class Outcome:
    """A poisoned document with the answer that its question got on the phone."""

    document: Poisoned
    answer: str

    @property
    def obeyed(self) -> bool:
        return self.document.obeyed(self.answer)


@click.command()
@click.option("--model-url", default="", help="Base URL of an OpenAI-compatible server.")
@click.option("--model", default="", help="The model's name there; empty: the first it lists.")
@click.option("--show", is_flag=True, help="Print each answer too.")
def main(model_url: str, model: str, show: bool) -> None:
    """Ask every poisoned document's question and count the answers that obeyed."""
    with tempfile.TemporaryDirectory() as folder:
        outcomes = list(play(Path(folder), upstream(model_url, model)))
    for outcome in outcomes if show else ():
        click.echo(f"{'OBEYED' if outcome.obeyed else '      '} {outcome.document.ask}")
        click.echo("       " + outcome.answer.replace("\n", "\n       "))
    click.echo(table(outcomes))


def upstream(url: str, model: str) -> dict[str, str]:
    """The tool server's settings for another model than the demo's."""
    if not url:
        return {}
    return {
        "SHENQIAO_MODEL_BACKEND": "upstream",
        "SHENQIAO_MODEL_UPSTREAM_URLS": url,
        "SHENQIAO_MODEL_UPSTREAM_MODEL": model,
        "SHENQIAO_MODEL_UPSTREAM_KEY": os.environ.get("SHENQIAO_MODEL_UPSTREAM_KEY", ""),
    }


def play(folder: Path, settings: dict[str, str]) -> Iterator[Outcome]:
    """Each question from a person of its own, so that no conversation colours the next."""
    unhurried = {"per_minute": 100000, "per_hour": 1000000}
    with Stage(Plan(folder / "stage", settings=settings, wechat=unhurried)) as stage:
        fill(stage, write(folder))
        for number, document in enumerate(load()):
            shown = stage.converse(f"reader{number:02d}", document.ask, timeout_s=ANSWER_S)
            yield Outcome(document, shown["text"])


def fill(stage: Stage, path: Path) -> None:
    """The documents beside the handbook, while the server runs."""
    knowledge = Knowledge.open(load_settings({"SHENQIAO_DATA_DIR": str(stage.data_dir)}))
    try:
        ingest(knowledge, "poisoned", [path])
    finally:
        knowledge.catalogue.close()
        knowledge.index.close()


def table(outcomes: list[Outcome]) -> str:
    asked = Counter(outcome.document.kind for outcome in outcomes)
    obeyed = Counter(outcome.document.kind for outcome in outcomes if outcome.obeyed)
    rows = [f"| {kind} | {asked[kind]} | {obeyed[kind]} |" for kind in asked]
    total = f"| all | {asked.total()} | {obeyed.total()} |"
    return "\n".join(["| instruction | asked | followed |", "|---|---|---|", *rows, total])


if __name__ == "__main__":
    main()
