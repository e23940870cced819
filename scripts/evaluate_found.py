"""How well the search tells covered questions from others: for the sample handbook, with its wordings.

    python -m scripts.evaluate_found

Prints for several cut-offs which share of the questions is found, and how often the right passage is in the first 3.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from scripts.demo_model.corpus import HANDBOOK, Corpus, load
from tool_server.knowledge.ingest import ingest
from tool_server.knowledge.search import Knowledge, Question, search
from tool_server.knowledge.tokens import distinct, telling, tokenize
from tool_server.migrate import migrate
from tool_server.settings import load as load_settings

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


def main() -> None:
    corpus = load()
    with handbook() as knowledge:
        for held_out in (False, True):
            print("held-out wordings" if held_out else "listed wordings")
            for kind, asked in questions(corpus, held_out=held_out).items():
                scored = [(share_held(knowledge, question), answer) for question, answer in asked]
                right = sum(answer in texts for (_, texts), answer in scored) / len(scored)
                shares = [
                    sum(share >= cut for (share, _), _ in scored) / len(scored) for cut in CUTS
                ]
                columns = " ".join(
                    f"{cut:.2f}:{share:4.0%}" for cut, share in zip(CUTS, shares, strict=True)
                )
                print(
                    f"  {kind:13} {len(asked):4} right in {TOP_K}: {right:4.0%}  found at {columns}"
                )


if __name__ == "__main__":
    main()
