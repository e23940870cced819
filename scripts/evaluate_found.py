"""How well the search tells covered questions from others: for the sample handbook, with its wordings, and collections.

    python -m scripts.evaluate_found [FOLDER…]

Prints for several cut-offs which share of the questions is found, and how often the right passage is in the first 3.
Each collection is asked its own questions, those of the others, and those of `off_topic.txt`; with the setting's
cut-off its misses and false alarms are named.
"""

import random
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from scripts.demo_model.corpus import HANDBOOK, Corpus, load
from scripts.evaluate_search import installed
from tool_server.knowledge.ingest import ingest
from tool_server.knowledge.measures import read_cases
from tool_server.knowledge.search import Knowledge, Question, search
from tool_server.knowledge.tokens import distinct, telling, tokenize
from tool_server.migrate import migrate
from tool_server.settings import load as load_settings

OFF_TOPIC = Path(__file__).parent / "off_topic.txt"
SAMPLE = 200
NAMED = 5
TOP_K = 3
CUTS = (0.15, 0.2, 0.25, 0.3, 0.33, 0.36, 0.4, 0.45, 0.5, 0.6)


@contextmanager
def handbook() -> Iterator[Knowledge]:
    """The sample handbook in a knowledge base of its own."""
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings(
            {
                "SHENQIAO_DATA_DIR": folder,
                "SHENQIAO_RUN_DIR": f"{folder}/run",
                "SHENQIAO_MODEL_ENABLED": "false",
            }
        )
        migrate(settings)
        knowledge = Knowledge.open(settings)
        ingest(knowledge, "handbook", [HANDBOOK])
        yield knowledge
        knowledge.catalogue.close()


def questions(corpus: Corpus, *, held_out: bool) -> dict[str, list[tuple[str, str]]]:
    """Questions with the text that answers them ("" for none), by language and kind."""
    found: dict[str, list[tuple[str, str]]] = {}
    for topic in corpus.topics:
        asked = topic.held_out if held_out else topic.wordings
        found.setdefault(f"{topic.language} covered", []).extend((q, topic.text) for q in asked)
    off = corpus.off_topic_held_out if held_out else corpus.off_topic
    for language, asked in off.items():
        found[f"{language} off topic"] = [(question, "") for question in asked]
    return found


def share_held(knowledge: Knowledge, question: str) -> tuple[float, list[str]]:
    """The figure that the cut-off is compared with, and the texts of the passages."""
    result = search(knowledge, Question(question, top_k=TOP_K))
    weights = knowledge.index.weights(telling(distinct(question, 512)))
    total = sum(weights.values())
    held = [
        sum(w for t, w in weights.items() if t in set(tokenize(p.title)) | set(tokenize(p.content)))
        for p in result.passages
    ]
    return (max(held, default=0.0) / total if total else 0.0), [p.content for p in result.passages]


@click.command()
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path, exists=True))
def main(folders: tuple[Path, ...]) -> None:
    """Evaluate the handbook, then each collection."""
    corpus = load()
    with handbook() as knowledge:
        for held_out in (False, True):
            print("held-out wordings" if held_out else "listed wordings")
            for kind, asked in questions(corpus, held_out=held_out).items():
                scored = [(share_held(knowledge, question), answer) for question, answer in asked]
                right = sum(answer in texts for (_, texts), answer in scored) / len(scored)
                shares = [share for (share, _), _ in scored]
                print(f"  {kind:16} right in {TOP_K}: {right:4.0%}  {_found(shares)}")
    asked_of = {folder: _sampled(folder) for folder in folders}
    for folder in folders:
        with installed(folder) as knowledge:
            others = [(f"off topic: {f.name}", asked_of[f]) for f in folders if f != folder]
            listed = OFF_TOPIC.read_text(encoding="utf-8").splitlines()
            print(folder.name)
            _compare(knowledge, "on topic", asked_of[folder], wanted=True)
            for kind, others_asked in [*others, ("off topic: list", listed)]:
                _compare(knowledge, kind, others_asked, wanted=False)


def _compare(knowledge: Knowledge, kind: str, asked: Sequence[str], *, wanted: bool) -> None:
    """How many are found at each cut-off, and some of those that the setting's cut-off gets wrong."""
    shares = [share_held(knowledge, question)[0] for question in asked]
    print(f"  {kind:20} {len(asked):4}  {_found(shares)}")
    cut = knowledge.settings.knowledge_found_share
    wrong = [q for q, share in zip(asked, shares, strict=True) if (share >= cut) != wanted]
    for question in wrong[:NAMED]:
        print(f"    {'missed' if wanted else 'false alarm'}: {question}")


def _found(shares: Sequence[float]) -> str:
    columns = (f"{cut:.2f}:{sum(s >= cut for s in shares) / len(shares):4.0%}" for cut in CUTS)
    return "found at " + " ".join(columns)


def _sampled(folder: Path) -> list[str]:
    """Some of a collection's questions, the same ones each time."""
    cases, _ = read_cases(folder / "queries.tsv", folder / "qrels.tsv")
    texts = [case.text for case in cases]
    return random.Random(0).sample(texts, min(SAMPLE, len(texts)))


if __name__ == "__main__":
    main()
