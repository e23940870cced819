"""How good and how fast the search is on a test collection (corpus.jsonl.gz, queries.tsv, qrels.tsv in one folder).

    python -m scripts.evaluate_search [--elasticsearch URL] FOLDER…

Ingests each into an installation of its own and prints what `shenqiao evaluate` would print there.
"""

import gzip
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from tool_server.knowledge.evaluate import lines, measure
from tool_server.knowledge.ingest import ingest
from tool_server.knowledge.measures import read_cases
from tool_server.knowledge.search import Knowledge
from tool_server.migrate import migrate
from tool_server.settings import load

BASE = "collection"


@click.command()
@click.option(
    "--elasticsearch", default="", help="URL of a node to index in, instead of the embedded index."
)
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
def main(folders: tuple[Path, ...], elasticsearch: str) -> None:
    """Evaluate each collection."""
    for folder in folders:
        started = time.monotonic()
        with installed(folder, elasticsearch) as knowledge:
            seconds = time.monotonic() - started
            cases, unjudged = read_cases(folder / "queries.tsv", folder / "qrels.tsv")
            click.echo(f"{folder.name}: ingested in {seconds:.1f} s")
            click.echo("  " + "  ".join(lines(measure(knowledge, BASE, cases, unjudged))))


@contextmanager
def installed(folder: Path, elasticsearch: str = "") -> Iterator[Knowledge]:
    """The collection in an installation of its own."""
    with tempfile.TemporaryDirectory() as home:
        settings = load(
            {
                "SHENQIAO_DATA_DIR": f"{home}/data",
                "SHENQIAO_RUN_DIR": f"{home}/run",
                "SHENQIAO_MODEL_ENABLED": "false",
                "SHENQIAO_KNOWLEDGE_FILE_LIMIT": "1000000000",
                "SHENQIAO_KNOWLEDGE_PASSAGE_CHARACTERS": "20000",  # judgements are of whole documents
                **(_elasticsearch(folder, elasticsearch) if elasticsearch else {}),
            }
        )
        migrate(settings)
        knowledge = Knowledge.open(settings)
        corpus = Path(home, "corpus.jsonl")
        corpus.write_bytes(gzip.decompress((folder / "corpus.jsonl.gz").read_bytes()))
        ingest(knowledge, BASE, [corpus])
        yield knowledge
        knowledge.catalogue.close()


def _elasticsearch(folder: Path, url: str) -> dict[str, str]:
    """The settings of an index of its own in that cluster."""
    return {
        "SHENQIAO_KNOWLEDGE_BACKEND": "elasticsearch",
        "SHENQIAO_KNOWLEDGE_ELASTICSEARCH_URLS": url,
        "SHENQIAO_KNOWLEDGE_ELASTICSEARCH_PREFIX": f"evaluate-{folder.name}-{time.time_ns()}",
        "SHENQIAO_KNOWLEDGE_BATCH_DOCUMENTS": "5000",
    }


if __name__ == "__main__":
    main()
