"""The command `index`: how far the index is, and making it anew."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tool_server.knowledge.index_commands import index
from tool_server.knowledge.ingest import ingest
from tool_server.knowledge.search import Knowledge, Question, search

type Run = Callable[..., Result]


@pytest.fixture
def run(knowledge: Knowledge, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Calls the command in the installation of `knowledge`."""
    settings = knowledge.settings
    for name in ("data_dir", "run_dir", "knowledge_backend", "knowledge_elasticsearch_urls"):
        monkeypatch.setenv(f"SHENQIAO_{name.upper()}", str(getattr(settings, name)))
    prefix = settings.knowledge_elasticsearch_prefix
    monkeypatch.setenv("SHENQIAO_KNOWLEDGE_ELASTICSEARCH_PREFIX", prefix)
    return lambda *arguments: CliRunner().invoke(index, arguments)


def many(folder: Path, count: int) -> Path:
    path = folder / "many.jsonl"
    path.write_text("\n".join(json.dumps({"id": n, "text": f"word{n}"}) for n in range(count)))
    return path


def test_a_complete_index_is_said_and_one_that_lacks_something_is_an_exit_code(
    knowledge: Knowledge, run: Run, tmp_path: Path
) -> None:
    ingest(knowledge, "kb", [many(tmp_path, 30)])
    said = run("status")
    assert (said.exit_code, said.output.splitlines()[1:]) == (
        0,
        ["passages   30 of 30", "changes    30 of 30", "complete"],
    )
    knowledge.catalogue.withdraw("kb", "many.jsonl#2", ())
    said = run("status")
    assert said.exit_code == 1
    assert "behind" in said.output


def test_an_index_is_made_anew_and_its_progress_is_said(
    knowledge: Knowledge, run: Run, tmp_path: Path
) -> None:
    ingest(knowledge, "kb", [many(tmp_path, 1200)])
    knowledge.catalogue.withdraw("kb", "many.jsonl#7", ())
    said = run("rebuild")
    assert said.exit_code == 0
    assert f"rebuilt: {knowledge.catalogue.passage_count()} passages" in said.output
    assert f"of {knowledge.catalogue.sequence()} documents" in said.output
    assert run("status").exit_code == 0
    assert search(knowledge, Question("word8", top_k=1)).found


def test_while_somebody_writes_the_command_says_so(knowledge: Knowledge, run: Run) -> None:
    with knowledge.index.writing(knowledge.catalogue):
        said = run("rebuild")
    assert said.exit_code == 1
    assert "writing the index" in said.output


def test_a_cluster_that_is_away_is_a_sentence(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHENQIAO_KNOWLEDGE_BACKEND", "elasticsearch")
    monkeypatch.setenv("SHENQIAO_KNOWLEDGE_ELASTICSEARCH_URLS", "http://127.0.0.1:9")
    for command in ("status", "rebuild"):
        said = run(command)
        assert said.exit_code == 1
        assert "cannot be reached" in said.output
