"""kill -9 of the indexer at random moments: every committed passage is found, none twice, the job ends by itself."""

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from playground.processes import environment
from tests.knowledge.jobs.conftest import Served
from tests.waiting import until
from tool_server.knowledge.document import document_id
from tool_server.knowledge.jobs.job import Job, Request
from tool_server.knowledge.jobs.queue import Jobs
from tool_server.knowledge.search import Knowledge, Question, search
from tool_server.settings import Settings

KILLS = 20
LINES, FILES = 30000, 3000


def write_corpus(folder: Path) -> set[str]:
    """A file of many documents, and many files of one; their source ids."""
    folder.mkdir()
    text = "\n".join(
        json.dumps({"id": f"l{at}", "text": f"line{at} about subject{at % 50}"})
        for at in range(LINES)
    )
    (folder / "lines.jsonl").write_text(text)
    for at in range(FILES):
        (folder / f"f{at:04d}.txt").write_text(f"file{at} about subject{at % 50}")
    return {f"lines.jsonl#l{at}" for at in range(LINES)} | {f"f{at:04d}.txt" for at in range(FILES)}


def committed(knowledge: Knowledge, sources: set[str]) -> int:
    """How many documents are committed; none of them has its passage twice."""
    ids = [document_id("kb", source) for source in sources]
    held = Counter(passage.document_id for passage in knowledge.catalogue.passages_of(ids))
    assert set(held.values()) <= {1}
    return len(held)


def start_indexer(settings: Settings) -> subprocess.Popen[bytes]:
    environ = environment(
        SHENQIAO_DATA_DIR=str(settings.data_dir),
        SHENQIAO_RUN_DIR=str(settings.run_dir),
        SHENQIAO_MODEL_ENABLED="false",
        SHENQIAO_KNOWLEDGE_JOB_ATTEMPTS=str(KILLS),
        SHENQIAO_KNOWLEDGE_BATCH_DOCUMENTS="20",
    )
    command = [sys.executable, "-m", "tool_server", "indexer"]
    return subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL)


def kill_at_random(
    settings: Settings, knowledge: Knowledge, jobs: Jobs, sources: set[str], chance: random.Random
) -> None:
    """Some batches after each start, and a moment more, the indexer is killed: what is committed only grows."""
    before = 0
    for _ in range(KILLS):
        process = start_indexer(settings)
        target = before + chance.randrange(600)
        until(lambda: running(jobs) and knowledge.catalogue.passage_count() >= target)  # noqa: B023
        time.sleep(chance.uniform(0, 0.1))
        process.kill()
        process.wait()
        now = committed(knowledge, sources)
        assert now >= target
        before = now
    assert before < len(sources)


def running(jobs: Jobs) -> bool:
    return jobs.newest()[0].state == "running"


def ended(jobs: Jobs) -> Job | None:
    job = jobs.newest()[0]
    return job if job.ended else None


@pytest.mark.thorough
@pytest.mark.timeout(300)
def test_twenty_kills_lose_nothing_and_the_job_ends_by_itself(
    settings: Settings, knowledge: Knowledge, jobs: Jobs, tmp_path: Path
) -> None:
    seed = int(os.environ.get("TEST_SEED", time.time()))
    print(f"seed {seed}")  # noqa: T201  (a failing run must be repeatable)
    chance = random.Random(seed)
    sources = write_corpus(tmp_path / "in")
    jobs.enqueue("kb", "folders", Request(paths=(str(tmp_path / "in"),)))
    kill_at_random(settings, knowledge, jobs, sources, chance)
    last = start_indexer(settings)
    job = until(lambda: ended(jobs), 120)
    until(lambda: knowledge.index.applied() == knowledge.catalogue.sequence())
    last.terminate()
    last.wait(90)
    assert (job.state, job.reason, job.attempts) == ("done", "", KILLS + 1)
    assert (job.documents, job.files_done, job.files_refused) == (LINES + FILES, FILES + 1, 0)
    assert committed(knowledge, sources) == LINES + FILES
    assert knowledge.index.passage_count() == knowledge.catalogue.passage_count() == LINES + FILES
    for at in chance.sample(range(LINES), 20):
        best = search(knowledge, Question(f"line{at}", top_k=1)).passages[0]
        assert best.source_id == f"lines.jsonl#l{at}"


@pytest.mark.thorough
def test_a_kill_of_the_indexer_delays_a_job_and_loses_nothing(served: Served) -> None:
    lines = "\n".join(json.dumps({"id": at, "text": f"word{at}"}) for at in range(4000))
    number = served.upload(("many.jsonl", lines.encode())).json()["job"]["id"]
    until(lambda: served.job(number)["job"]["documents"])
    served.kill("indexer")
    done = until(lambda: (job := served.job(number)["job"])["finished_at"] and job)
    assert (done["state"], done["documents"]) == ("done", 4000)
    for at in (0, 1999, 3999):
        assert served.search(f"word{at}")[0]["source_id"] == f"many.jsonl#{at}"
