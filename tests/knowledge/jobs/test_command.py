"""`shenqiao ingest` as people use it: with an indexer that does the work, with Ctrl-C, with a mass that vanished."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from playground.processes import environment
from tests.knowledge.jobs.conftest import Served
from tests.waiting import until
from tool_server.knowledge.ingest import run_here
from tool_server.knowledge.jobs.job import Request
from tool_server.knowledge.jobs.queue import Jobs
from tool_server.knowledge.jobs.watch import follow
from tool_server.knowledge.search import Knowledge
from tool_server.settings import Settings

COMMAND = (sys.executable, "-m", "tool_server", "ingest", "--base", "kb")


def environ_of(settings: Settings) -> dict[str, str]:
    return environment(
        SHENQIAO_DATA_DIR=str(settings.data_dir),
        SHENQIAO_RUN_DIR=str(settings.run_dir),
        SHENQIAO_MODEL_ENABLED="false",
    )


def write_lines(path: Path, number: int) -> Path:
    lines = (json.dumps({"id": at, "text": f"word{at} stands here"}) for at in range(number))
    path.write_text("\n".join(lines))
    return path


@pytest.mark.thorough
def test_an_indexer_that_runs_does_the_work_and_the_command_shows_it(
    served: Served, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "good.txt").write_text("zeppelin")
    (folder / "bad.jsonl").write_text("{")
    done = subprocess.run(
        [*COMMAND, str(folder)],
        env=served.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == "kb: 1 files, 1 documents, 1 new or changed\n"
    assert sorted(done.stderr.splitlines()) == [
        "indexed good.txt, 1 documents",
        f"refused {folder}/bad.jsonl: line 1 is not JSON",
    ]
    assert served.search("zeppelin")[0]["source_id"] == "good.txt"
    log = (served.folder / "log").read_text()
    assert '"process": "indexer", "job": 1' in log


@pytest.mark.thorough
def test_ctrl_c_cancels_and_the_same_call_goes_on(
    settings: Settings, knowledge: Knowledge, jobs: Jobs, tmp_path: Path
) -> None:
    path = write_lines(tmp_path / "many.jsonl", 8000)
    environ = environ_of(settings)
    running = subprocess.Popen(
        [*COMMAND, str(path)],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until(lambda: jobs.newest() and jobs.newest()[0].documents)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=90)
    assert (running.returncode, said) == (1, "cancelled; the same call goes on where it was\n")
    kept = jobs.newest()[0].documents
    assert (jobs.newest()[0].state, 0 < kept < 8000) == ("cancelled", True)
    done = subprocess.run(
        [*COMMAND, str(path)], env=environ, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"kb: 1 files, 8000 documents, {8000 - kept} new or changed\n"


@pytest.mark.thorough
def test_a_mass_that_vanished_is_told_and_forced(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for at in range(12):
        (folder / f"{at}.txt").write_text("text")
    environ = environ_of(settings)
    subprocess.run([*COMMAND, str(folder)], env=environ, capture_output=True, check=True)
    for at in range(12):
        (folder / f"{at}.txt").unlink()
    told = subprocess.run(
        [*COMMAND, str(folder)], env=environ, capture_output=True, text=True, check=False
    )
    assert told.returncode == 1
    assert told.stderr.startswith(f"failed: 12 of 12 files of '{folder}' have vanished")
    forced = subprocess.run(
        [*COMMAND, "--force", str(folder)], env=environ, capture_output=True, text=True, check=True
    )
    assert forced.stdout == "kb: 0 files, 0 documents, 0 new or changed, 12 withdrawn\n"


@pytest.mark.parametrize("arguments", [(), ("--urls", __file__, "x")])
def test_paths_or_addresses_are_needed_and_not_both(
    settings: Settings, arguments: tuple[str, ...]
) -> None:
    done = subprocess.run(
        [*COMMAND, *arguments],
        env=environ_of(settings),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "Give either PATHS or --urls" in done.stderr


def test_a_terminal_sees_bars(knowledge: Knowledge, jobs: Jobs, tmp_path: Path) -> None:
    (tmp_path / "bad[red].jsonl").write_text("{")
    number = jobs.enqueue("kb", "folders", Request(paths=(str(tmp_path),)))
    console = Console(force_terminal=True, record=True, width=150)
    job = follow(jobs, number, console, lambda: run_here(knowledge, jobs, number))
    shown = console.export_text()
    assert job.state == "done"
    assert "1 of 1 files" in shown
    assert "bad[red].jsonl: line 1 is not JSON" in shown
