"""The index: derived from the catalogue, brought up to it after a kill, one writer at a time."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from playground.processes import environment
from tool_server.knowledge.index import IndexBusy, Lexical
from tool_server.knowledge.ingest import ingest
from tool_server.knowledge.repair import Repair
from tool_server.knowledge.search import Knowledge, search
from tool_server.settings import Settings

DOCUMENTS = 8000


def test_a_lost_index_is_built_anew_from_the_catalogue(handbook: Knowledge) -> None:
    shutil.rmtree(handbook.settings.data_dir / "index")
    assert search(handbook, "年假", base=None, top_k=1).passages == ()
    Repair(handbook).if_behind()
    assert search(handbook, "年假", base=None, top_k=1).found


def test_an_index_of_another_format_is_built_anew(handbook: Knowledge) -> None:
    current = handbook.settings.data_dir / "index" / "current.json"
    current.write_text(json.dumps({**json.loads(current.read_text()), "format": "0-old"}))
    Repair(handbook).if_behind()
    assert search(handbook, "年假", base=None, top_k=1).found


def test_another_process_sees_a_change_at_once(handbook: Knowledge, tmp_path: Path) -> None:
    reader = Knowledge(
        handbook.settings, handbook.catalogue, Lexical(handbook.settings.data_dir / "index")
    )
    assert not search(reader, "zeppelin", base=None, top_k=1).found
    (tmp_path / "z.txt").write_text("The zeppelin leaves at noon.")
    ingest(handbook, "handbook", [tmp_path / "z.txt"])
    assert search(reader, "zeppelin", base=None, top_k=1).found


def test_a_second_writer_is_told_so(handbook: Knowledge) -> None:
    other = Lexical(handbook.settings.data_dir / "index")
    with handbook.index._writing(), pytest.raises(IndexBusy):
        other.sync(handbook.catalogue)


def test_a_kill_while_ingesting_loses_nothing_and_the_same_call_goes_on(
    settings: Settings, tmp_path: Path
) -> None:
    lines = (
        json.dumps({"id": f"d{n}", "text": f"word{n} about subject{n}"}) for n in range(DOCUMENTS)
    )
    source = tmp_path / "many.jsonl"
    source.write_text("\n".join(lines))
    command = [sys.executable, "-m", "tool_server", "ingest", "--base", "kb", str(source)]
    environ = environment(
        SHENQIAO_DATA_DIR=str(settings.data_dir),
        SHENQIAO_RUN_DIR=str(settings.run_dir),
        SHENQIAO_MODEL_ENABLED="false",
    )
    running = subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL)
    knowledge = Knowledge.open(settings)
    deadline = time.monotonic() + 30
    while knowledge.catalogue.sequence() < 1000 and time.monotonic() < deadline:
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    running.wait()
    kept = knowledge.catalogue.sequence()
    assert 0 < kept < DOCUMENTS
    assert subprocess.run(command, env=environ, check=False).returncode == 0
    assert sum(base.documents for base in knowledge.catalogue.bases()) == DOCUMENTS
    for number in (0, kept, DOCUMENTS - 1):
        assert search(knowledge, f"subject{number}", base="kb", top_k=1).found
    knowledge.catalogue.close()
