"""kill -9 of the indexer at random moments: every committed passage is found, none twice, the job ends by itself."""

import json
import os
import random
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.knowledge.jobs.conftest import Served, wait_for
from tool_server.knowledge.document import document_id
from tool_server.knowledge.jobs.job import Request
from tool_server.knowledge.jobs.queue import Jobs
from tool_server.knowledge.search import Knowledge
from tool_server.settings import load


def knowledge_of(served: Served) -> Knowledge:
    environ = served.environ
    return Knowledge.open(load({name: environ[name] for name in environ if "SHENQIAO" in name}))


def write_corpus(folder: Path, lines: int, files: int) -> set[str]:
    """A file of many documents, and many files of one; their source ids."""
    folder.mkdir()
    text = "\n".join(
        json.dumps({"id": f"l{at}", "text": f"line{at} about subject{at % 50}"})
        for at in range(lines)
    )
    (folder / "lines.jsonl").write_text(text)
    for at in range(files):
        (folder / f"f{at:04d}.txt").write_text(f"file{at} about subject{at % 50}")
    return {f"lines.jsonl#l{at}" for at in range(lines)} | {f"f{at:04d}.txt" for at in range(files)}


def check_committed(knowledge: Knowledge, sources: set[str]) -> int:
    """Nothing is there twice; how many documents are committed."""
    held = Counter(
        passage.document_id
        for passage in knowledge.catalogue.passages_of(
            [document_id("kb", source) for source in sources]
        )
    )
    assert set(held.values()) <= {1}
    return len(held)


@pytest.mark.thorough
@pytest.mark.timeout(600)
def test_twenty_kills_lose_nothing_and_the_job_ends_by_itself(tmp_path: Path) -> None:
    seed = int(os.environ.get("TEST_SEED", time.time()))
    print(f"seed {seed}")  # noqa: T201  (a failing run must be repeatable)
    chance = random.Random(seed)
    sources = write_corpus(tmp_path / "in", lines=12000, files=3000)
    settings = {"JOB_ATTEMPTS": "20", "BATCH_DOCUMENTS": "20"}  # kills may come before any progress
    named = {f"SHENQIAO_KNOWLEDGE_{name}": value for name, value in settings.items()}
    with Served(tmp_path, **named) as served:
        knowledge = knowledge_of(served)
        jobs = Jobs(knowledge.settings, knowledge.catalogue.database)
        request = Request(paths=(str(tmp_path / "in"),))
        number = jobs.enqueue("kb", "folders", request)
        killed = kill_at_random(served, knowledge, jobs, number, sources, chance)
        job = wait_for(lambda: (job := jobs.get(number)).ended and job, 180)
        print(f"{killed} kills, {job.attempts} attempts")  # noqa: T201
        assert killed == 20
        assert (job.state, job.files_refused, job.reason) == ("done", 0, "")
        assert (job.documents, job.files_done) == (15000, 3001)
        assert check_committed(knowledge, sources) == len(sources) == 15000
        wait_for(lambda: knowledge.index.applied() == knowledge.catalogue.sequence())
        assert knowledge.index.passage_count() == knowledge.catalogue.passage_count() == 15000
        for at in chance.sample(range(12000), 20):
            assert served.search(f"line{at}")[0]["source_id"] == f"lines.jsonl#l{at}"
        knowledge.catalogue.close()


def kill_at_random(
    served: Served,
    knowledge: Knowledge,
    jobs: Jobs,
    number: int,
    sources: set[str],
    chance: random.Random,
) -> int:
    """Kill the indexer up to twenty times while the job runs; after each what was committed is still there."""
    committed = killed = 0
    while killed < 20 and not jobs.get(number).ended:
        wait_for(lambda: jobs.get(number).state == "running" or jobs.get(number).ended)
        time.sleep(chance.uniform(0.0, 0.4))
        served.kill("indexer")
        killed += 1
        before, committed = committed, check_committed(knowledge, sources)
        assert committed >= before
        jobs.take_over()
    return killed


def test_a_kill_of_the_indexer_delays_a_job_and_loses_nothing(served: Served) -> None:
    lines = "\n".join(json.dumps({"id": at, "text": f"word{at}"}) for at in range(4000))
    number = served.upload(("many.jsonl", lines.encode())).json()["job"]["id"]
    wait_for(lambda: served.job(number)["job"]["documents"])
    served.kill("indexer")
    done = wait_for(lambda: (job := served.job(number)["job"])["finished_at"] and job)
    assert (done["state"], done["documents"]) == ("done", 4000)
    for at in (0, 1999, 3999):
        assert served.search(f"word{at}")[0]["source_id"] == f"many.jsonl#{at}"
