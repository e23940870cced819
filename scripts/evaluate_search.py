"""How good and how fast the search is on a test collection (corpus.jsonl.gz, queries.tsv, qrels.tsv in one folder).

    python -m scripts.evaluate_search [--elasticsearch URL] FOLDER…

Prints nDCG@10 and recall@10, the share of questions that count as found, and the time of a search.
"""

import gzip
import math
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import click

from tool_server.knowledge.ingest import ingest
from tool_server.knowledge.question import Passage
from tool_server.knowledge.search import Knowledge, Question, search
from tool_server.migrate import migrate
from tool_server.settings import load

DEPTH = 10
BASE = "collection"


@click.command()
@click.option(
    "--elasticsearch", default="", help="URL of a node to index in, instead of the embedded index."
)
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
def main(folders: tuple[Path, ...], elasticsearch: str) -> None:
    """Evaluate each collection in an installation of its own."""
    for folder in folders:
        with tempfile.TemporaryDirectory() as home:
            evaluate(folder, Path(home), elasticsearch)


def evaluate(folder: Path, home: Path, elasticsearch: str = "") -> None:
    settings = load(
        {
            "SHENQIAO_DATA_DIR": str(home / "data"),
            "SHENQIAO_RUN_DIR": str(home / "run"),
            "SHENQIAO_MODEL_ENABLED": "false",
            "SHENQIAO_KNOWLEDGE_FILE_LIMIT": "1000000000",
            "SHENQIAO_KNOWLEDGE_PASSAGE_CHARACTERS": "20000",  # the judgements are of whole documents
            **(_elasticsearch(folder, elasticsearch) if elasticsearch else {}),
        }
    )
    migrate(settings)
    knowledge = Knowledge.open(settings)
    corpus = home / "corpus.jsonl"
    corpus.write_bytes(gzip.decompress((folder / "corpus.jsonl.gz").read_bytes()))
    started = time.monotonic()
    report = ingest(knowledge, BASE, [corpus])
    seconds = time.monotonic() - started
    click.echo(f"{folder.name}: {report.documents} documents ingested in {seconds:.1f} s")
    _measure(knowledge, dict(_queries(folder)), _judgements(folder))
    knowledge.catalogue.close()


def _elasticsearch(folder: Path, url: str) -> dict[str, str]:
    return {
        "SHENQIAO_KNOWLEDGE_BACKEND": "elasticsearch",
        "SHENQIAO_KNOWLEDGE_ELASTICSEARCH_URLS": url,
        "SHENQIAO_KNOWLEDGE_ELASTICSEARCH_PREFIX": f"evaluate-{folder.name}-{time.time_ns()}",
        "SHENQIAO_KNOWLEDGE_BATCH_DOCUMENTS": "5000",
    }


def _measure(
    knowledge: Knowledge, queries: dict[str, str], judgements: dict[str, set[str]]
) -> None:
    gains, recalls, found, times = [], [], 0, []
    for name, query in queries.items():
        started = time.perf_counter()
        result = search(knowledge, Question(query, bases=(BASE,), top_k=DEPTH))
        times.append(time.perf_counter() - started)
        ids = [name for passage in result.passages for name in _ids(passage)][:DEPTH]
        gains.append(_ndcg(ids, judgements[name]))
        recalls.append(len(set(ids) & judgements[name]) / len(judgements[name]))
        found += result.found
    times.sort()
    click.echo(
        f"  nDCG@10 {statistics.mean(gains):.3f}  recall@10 {statistics.mean(recalls):.3f}"
        f"  found {found / len(queries):.1%} of {len(queries)} questions"
        f"  p50 {times[len(times) // 2] * 1000:.1f} ms  p99 {times[len(times) * 99 // 100] * 1000:.1f} ms"
    )


def _ids(passage: Passage) -> list[str]:
    """A passage stands for its copies too: collections hold documents twice, and judge one or both of them."""
    sources = [passage.source_id, *(copy.source_id for copy in passage.copies)]
    return [source.partition("#")[2] for source in sources]


def _ndcg(ids: list[str], relevant: set[str]) -> float:
    gain = sum(1 / math.log2(at + 2) for at, name in enumerate(ids) if name in relevant)
    ideal = sum(1 / math.log2(at + 2) for at in range(min(DEPTH, len(relevant))))
    return gain / ideal


def _queries(folder: Path) -> Iterator[tuple[str, str]]:
    for line in (folder / "queries.tsv").read_text(encoding="utf-8").splitlines():
        name, _, query = line.split("\t")
        yield name, query


def _judgements(folder: Path) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for line in (folder / "qrels.tsv").read_text(encoding="utf-8").splitlines():
        query, document, _ = line.split("\t")
        found[query].add(document)
    return found


if __name__ == "__main__":
    main()
