"""Private knowledge over HTTP: how fast a real server searches, alone, with four clients, and while it takes documents.

    python -m scripts.bench.knowledge FOLDER

The folder holds a collection (corpus.jsonl.gz, queries.tsv); it is ingested by the ordinary command into an empty
installation with the embedded index. Client, server and ingest share two cores.
"""

import gzip
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import httpx
import psutil

from playground.processes import environment, free_ports
from scripts.bench import machine, results, servers

BASE = "collection"
CLIENTS = 4
# While documents come in, one question at a time with this pause: more would measure the queue for two cores.
PAUSE_S = 0.1


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--questions", default=400, show_default=True)
@click.option("--seconds", default=15.0, show_default=True, help="How long the clients ask.")
@click.option("--out", type=click.Path(path_type=Path), default=results.FOLDER)
def main(folder: Path, questions: int, seconds: float, out: Path) -> None:
    """Measure and write knowledge.json."""
    machine.pin()
    asked = _questions(folder)[:questions]
    with tempfile.TemporaryDirectory(prefix="bench-") as work:
        row = measure(folder, asked, Path(work), seconds)
    click.echo(json.dumps(row, indent=1), err=True)
    command = f"python -m scripts.bench.knowledge {folder.name}"
    results.write("knowledge", command, {"collection": folder.name, **row}, out)


def measure(folder: Path, asked: Sequence[str], work: Path, seconds: float) -> dict[str, Any]:
    """All figures of one collection; `work` is an empty folder with a short name."""
    corpus = work / "corpus.jsonl"
    corpus.write_bytes(gzip.decompress((folder / "corpus.jsonl.gz").read_bytes()))
    (port,) = free_ports([0])
    environ = _environ(work, port)
    log = work / "web.log"
    web = [sys.executable, "-m", "tool_server", "web"]
    with servers.running(web, environ, log) as server:
        url = f"http://127.0.0.1:{port}"
        servers.wait_for(server, f"{url}/health/live", log)
        with client(url, work) as http:
            during, index_s = _while_indexing(http, asked, corpus, environ)
            _ask(http, asked[:50])  # what is read from the disk for the first time
            alone = _ask(http, asked)
        cpu_s = machine.cpu_s(server.pid)
        together = _together(url, work, asked, seconds)
        cpu_s = machine.cpu_s(server.pid) - cpu_s
        return {
            "documents": sum(1 for _ in corpus.open(encoding="utf-8")),
            "index_s": round(index_s, 1),
            "while_indexing": _times(during),
            "alone": _times(alone),
            "clients": CLIENTS,
            "together": _times(together),
            "queries_per_s": round(len(together) / seconds, 1),
            "cpu_ms_per_query": round(cpu_s * 1000 / len(together), 2),
            "web_memory_mb": round(_memory(server.pid) / 1e6),
        }


@contextmanager
def client(url: str, work: Path) -> Iterator[httpx.Client]:
    keys = json.loads((work / "data" / "keys.json").read_text())["keys"]
    key = next(entry["key"] for entry in keys if "knowledge" in entry["scopes"])
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=url, headers=headers, timeout=60, trust_env=False) as http:
        yield http


def _while_indexing(
    http: httpx.Client, asked: Sequence[str], corpus: Path, environ: Mapping[str, str]
) -> tuple[list[float], float]:
    """Times of searches while the ordinary command ingests the whole collection, and how long that took."""
    command = [sys.executable, "-m", "tool_server", "ingest", "--base", BASE, str(corpus)]
    started = time.monotonic()
    ingest = subprocess.Popen(
        command, env=dict(environ), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    times: list[float] = []
    while ingest.poll() is None:
        question = asked[len(times) % len(asked)]
        try:
            times.append(_search(http, question))
        except httpx.HTTPStatusError as error:
            if error.response.status_code not in (404, 503):  # before the first batch is there
                raise
        time.sleep(PAUSE_S)
    if ingest.returncode:
        raise click.ClickException(f"The ingest failed with {ingest.returncode}.")
    return times, time.monotonic() - started


def _together(url: str, work: Path, asked: Sequence[str], seconds: float) -> list[float]:
    """Several clients, each with one question after the other, until the time is over."""
    until = threading.Event()

    def ask(number: int) -> list[float]:
        times: list[float] = []
        with client(url, work) as http:
            while not until.is_set():
                times.append(_search(http, asked[(number + CLIENTS * len(times)) % len(asked)]))
        return times

    with ThreadPoolExecutor(CLIENTS) as pool:
        running = [pool.submit(ask, number) for number in range(CLIENTS)]
        time.sleep(seconds)
        until.set()
        return [taken for future in running for taken in future.result()]


def _ask(http: httpx.Client, asked: Sequence[str]) -> list[float]:
    return [_search(http, question) for question in asked]


def _search(http: httpx.Client, question: str) -> float:
    """Seconds of one search, as its client sees them."""
    started = time.perf_counter()
    http.post("/knowledge/search", json={"query": question}).raise_for_status()
    return time.perf_counter() - started


def _times(seconds: Sequence[float]) -> dict[str, float]:
    return {
        "searches": len(seconds),
        "p50_ms": round(results.percentile(seconds, 50) * 1000, 2),
        "p99_ms": round(results.percentile(seconds, 99) * 1000, 2),
    }


def _memory(pid: int) -> int:
    """Bytes of memory of the web process and its master: what they share is counted once (PSS)."""
    parent = psutil.Process(pid)
    both = (parent, *parent.children(recursive=True))
    return sum(int(process.memory_full_info().pss) for process in both)


def _questions(folder: Path) -> list[str]:
    lines = (folder / "queries.tsv").read_text(encoding="utf-8").splitlines()
    return [line.split("\t")[-1] for line in lines]


def _environ(work: Path, port: int) -> dict[str, str]:
    return environment(
        SHENQIAO_DATA_DIR=str(work / "data"),
        SHENQIAO_RUN_DIR=str(work / "r"),
        SHENQIAO_PORT=str(port),
        SHENQIAO_MODEL_ENABLED="false",
        SHENQIAO_CHANNEL_ENABLED="false",
        SHENQIAO_KNOWLEDGE_FILE_LIMIT="1000000000",
        SHENQIAO_KNOWLEDGE_PASSAGE_CHARACTERS="20000",
    )


if __name__ == "__main__":
    main()
