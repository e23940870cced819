"""Jobs: one owner at a time, taken over from the dead, cancelled, retried, forgotten in the end; never stuck."""

import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from tool_server.errors import Busy, NotFound
from tool_server.knowledge.document import document_id
from tool_server.knowledge.ingest import ingest, run_here
from tool_server.knowledge.jobs.documents import delete_document
from tool_server.knowledge.jobs.job import Request
from tool_server.knowledge.jobs.metrics import Metrics
from tool_server.knowledge.jobs.queue import Jobs, NewItem, owners_of
from tool_server.knowledge.jobs.run import run_job
from tool_server.knowledge.search import Knowledge
from tool_server.owner import OwnerLock


def fill(folder: Path, number: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for at in range(number):
        (folder / f"f{at:04d}.txt").write_text(f"word{at} stands here")
    return folder


def asked(jobs: Jobs, folder: Path) -> int:
    return jobs.enqueue("kb", "folders", Request(paths=(str(folder),)))


def test_a_job_tells_what_became_of_each_file(
    knowledge: Knowledge, jobs: Jobs, tmp_path: Path
) -> None:
    fill(tmp_path, 2)
    (tmp_path / "bad.jsonl").write_text("{")
    number = asked(jobs, tmp_path)
    run_here(knowledge, jobs, number)
    job = jobs.get(number)
    assert (job.state, job.files_total, job.files_done, job.files_refused) == ("done", 3, 3, 1)
    assert (job.documents, job.passages, job.bytes_done) == (2, 2, job.bytes_total)
    became = {item.name: (item.state, item.reason) for item in jobs.items(number)}
    assert became == {
        "f0000.txt": ("indexed", ""),
        "f0001.txt": ("indexed", ""),
        "bad.jsonl": ("refused", "line 1 is not JSON"),
    }


def test_only_one_takes_a_job(jobs: Jobs, tmp_path: Path) -> None:
    number = asked(jobs, tmp_path)
    first = jobs.take("a")
    assert first is not None
    assert first.id == number
    assert jobs.take("b") is None


def test_the_same_folders_that_wait_already_are_one_job(jobs: Jobs, tmp_path: Path) -> None:
    assert asked(jobs, tmp_path) == asked(jobs, tmp_path)
    assert asked(jobs, tmp_path / "other") != asked(jobs, tmp_path)


def test_a_job_is_taken_over_only_from_the_dead(
    knowledge: Knowledge, jobs: Jobs, tmp_path: Path
) -> None:
    number = asked(jobs, tmp_path)
    lock = OwnerLock(owners_of(knowledge.settings), "somebody")
    jobs.take("somebody")
    assert jobs.take_over() == []
    lock.close()
    assert jobs.take_over() == [number]
    assert jobs.get(number).state == "queued"


def test_a_job_that_is_cut_off_at_the_same_place_again_and_again_fails_with_the_place(
    knowledge: Knowledge, jobs: Jobs, tmp_path: Path
) -> None:
    number = asked(jobs, tmp_path)
    for _ in range(knowledge.settings.knowledge_job_attempts):
        assert jobs.get(number).state == "queued"
        jobs.take("gone")
        jobs.beat(number, "gone", "reading", "poison.pdf")
        jobs.take_over()
    job = jobs.get(number)
    assert job.state == "failed"
    assert "'poison.pdf'" in job.reason


def test_a_waiting_job_is_cancelled_at_once(jobs: Jobs, tmp_path: Path) -> None:
    number = asked(jobs, tmp_path)
    assert jobs.cancel(number).state == "cancelled"
    assert jobs.take("a") is None


@pytest.mark.thorough
def test_a_running_job_is_cancelled_within_a_batch_and_goes_on_when_it_is_retried(
    knowledge: Knowledge, jobs: Jobs, tmp_path: Path
) -> None:
    fill(tmp_path / "in", 1200)
    number = asked(jobs, tmp_path / "in")
    lock = OwnerLock(owners_of(knowledge.settings), "me")
    job = jobs.take("me")
    assert job is not None
    metrics = Metrics()
    metrics.committed = lambda *_: jobs.cancel(number)  # type: ignore[method-assign,assignment]
    run_job(knowledge, jobs, job, metrics, threading.Event())
    cancelled = jobs.get(number)
    assert cancelled.state == "cancelled"
    assert 0 < cancelled.documents < 1200
    assert jobs.retry(number).state == "queued"
    run_here(knowledge, jobs, number)
    lock.close()
    done = jobs.get(number)
    assert (done.state, done.documents, done.files_done) == ("done", 1200, 1200)
    assert [base.documents for base in knowledge.catalogue.bases()] == [1200]


def test_a_job_that_is_stopped_waits_for_the_next_process(
    knowledge: Knowledge, jobs: Jobs, tmp_path: Path
) -> None:
    number = asked(jobs, fill(tmp_path / "in", 3))
    job = jobs.take("me")
    assert job is not None
    stopped = threading.Event()
    stopped.set()
    run_job(knowledge, jobs, job, Metrics(), stopped)
    assert jobs.get(number).state == "queued"


def test_a_retry_takes_the_refused_files_only(
    knowledge: Knowledge, jobs: Jobs, tmp_path: Path
) -> None:
    folder = fill(tmp_path / "in", 2)
    (folder / "bad.jsonl").write_text("{")
    number = asked(jobs, folder)
    run_here(knowledge, jobs, number)
    (folder / "bad.jsonl").write_text('{"id": "1", "text": "good"}')
    (folder / "new.txt").write_text("comes with the next ingest")
    jobs.retry(number)
    run_here(knowledge, jobs, number)
    job = jobs.get(number)
    assert (job.state, job.files_refused, job.files_total, job.documents) == ("done", 0, 3, 3)


def test_what_is_done_without_a_fault_is_not_retried(
    knowledge: Knowledge, jobs: Jobs, tmp_path: Path
) -> None:
    number = asked(jobs, fill(tmp_path / "in", 1))
    run_here(knowledge, jobs, number)
    assert jobs.retry(number).state == "done"


def test_too_many_jobs_are_refused_with_a_time(jobs: Jobs, knowledge: Knowledge) -> None:
    for at in range(knowledge.settings.knowledge_queue_jobs):
        jobs.enqueue("kb", "folders", Request(paths=(f"/{at}",)))
    with pytest.raises(Busy) as caught:
        jobs.enqueue("kb", "folders", Request(paths=("/one-more",)))
    assert caught.value.retry_after


def test_old_jobs_are_forgotten_with_their_files(knowledge: Knowledge, tmp_path: Path) -> None:
    settings = knowledge.settings.model_copy(update={"knowledge_job_history": 2})
    jobs = Jobs(settings, knowledge.catalogue.database)
    for at in range(4):
        ingest(knowledge, "kb", [fill(tmp_path / str(at), 1)])
    assert jobs.prune() == 2
    assert [job.id for job in jobs.newest()] == [4, 3]
    assert jobs.items(1) == []
    with pytest.raises(NotFound):
        jobs.get(1)


def test_a_job_whose_index_is_taken_waits_and_says_so(
    knowledge: Knowledge, jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tool_server.knowledge.jobs.run.WAIT_S", 0.05)
    number = asked(jobs, fill(tmp_path / "in", 1))
    job = jobs.take("me")
    assert job is not None
    with knowledge.index.writing(knowledge.catalogue), pytest.raises(Exception, match="index"):
        run_job(knowledge, jobs, job, Metrics(), threading.Event())
    waiting = jobs.get(number)
    assert (waiting.state, waiting.reason) == ("queued", "Another process writes the index.")


def test_a_full_disk_ends_the_job_with_that_reason(
    knowledge: Knowledge, jobs: Jobs, tmp_path: Path
) -> None:
    """SQLite's own limit on the file's pages gives the error that a full disk gives."""
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "long.txt").write_text("words and more words " * 100_000)
    number = asked(jobs, folder)

    def limit(connection: object, _record: object) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]  # type: ignore[attr-defined]
        connection.execute(f"PRAGMA max_page_count={pages + 60}")  # type: ignore[attr-defined]

    engine = knowledge.catalogue.database.engine
    engine.dispose()
    sa.event.listen(engine, "connect", limit)
    run_here(knowledge, jobs, number)
    job = jobs.get(number)
    assert (job.state, job.reason) == ("failed", "The disk is full.")


def test_a_file_that_may_not_be_read_is_refused_with_the_reason(
    knowledge: Knowledge, jobs: Jobs, tmp_path: Path
) -> None:
    folder = fill(tmp_path / "in", 1)
    number = asked(jobs, folder)
    job = jobs.take("me")
    assert job is not None
    (folder / "f0001.txt").symlink_to("/proc/self/mem")  # can be opened, but not read
    run_job(knowledge, jobs, job, Metrics(), threading.Event())
    (refused,) = jobs.items(number, states=("refused",))
    assert refused.reason
    assert jobs.get(number).state == "done"


def test_a_file_that_was_left_in_the_middle_is_read_anew_whatever_it_holds_then(
    knowledge: Knowledge, jobs: Jobs, tmp_path: Path
) -> None:
    """Half of a new version is committed when the job is cancelled; the old version comes back to the folder."""
    path = tmp_path / "a.jsonl"
    old, new = (
        "\n".join(f'{{"id": "{at}", "text": "{word}{at}"}}' for at in range(600))
        for word in ("old", "new")
    )
    path.write_text(old)
    ingest(knowledge, "kb", [path])
    path.write_text(new)
    job = jobs.take("me", jobs.enqueue("kb", "folders", Request(paths=(str(path),))))
    assert job is not None
    metrics = Metrics()
    metrics.committed = lambda *_: jobs.cancel(job.id)  # type: ignore[method-assign,assignment]
    run_job(knowledge, jobs, job, metrics, threading.Event())
    assert 0 < jobs.get(job.id).changed < 600
    path.write_text(old)
    ingest(knowledge, "kb", [path])
    texts = [
        passage.text
        for passage in knowledge.catalogue.passages_of(
            [document_id("kb", f"a.jsonl#{at}") for at in range(600)]
        )
    ]
    assert len(texts) == 600
    assert all(text.startswith("old") for text in texts)


def test_lines_of_a_version_that_was_never_finished_are_withdrawn_too(
    knowledge: Knowledge, jobs: Jobs, tmp_path: Path
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(f'{{"id": "{at}", "text": "word{at}"}}' for at in range(600)))
    job = jobs.take("me", jobs.enqueue("kb", "folders", Request(paths=(str(path),))))
    assert job is not None
    metrics = Metrics()
    metrics.committed = lambda *_: jobs.cancel(job.id)  # type: ignore[method-assign,assignment]
    run_job(knowledge, jobs, job, metrics, threading.Event())
    path.write_text('{"id": "599", "text": "word599"}')
    ingest(knowledge, "kb", [path])
    assert [base.documents for base in knowledge.catalogue.bases()] == [1]


def test_a_document_that_is_deleted_while_its_new_version_waits_comes_back(
    knowledge: Knowledge, jobs: Jobs
) -> None:
    folder = knowledge.settings.data_dir / "uploads" / "token"

    def upload(number: int) -> int:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.txt").write_text(f"version {number}")
        item = NewItem("upload:a.txt", "a.txt", 9, f"uploads/token/{number}.txt")
        return jobs.enqueue("kb", "upload", Request(), [item])

    run_here(knowledge, jobs, upload(1))
    waiting = upload(2)
    delete_document(knowledge.catalogue.database, document_id("kb", "a.txt"))
    run_here(knowledge, jobs, waiting)
    assert jobs.get(waiting).state == "done"
    (passage,) = knowledge.catalogue.passages_of([document_id("kb", "a.txt")])
    assert passage.text == "version 2"
