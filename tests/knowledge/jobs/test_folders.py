"""Folders that are ingested again: what is unchanged, moved, gone; what must not replace each other."""

import os
import shutil
from pathlib import Path

import pytest

from tool_server.knowledge.document import document_id
from tool_server.knowledge.ingest import Report, ingest
from tool_server.knowledge.jobs import plan, scan
from tool_server.knowledge.jobs.queue import Jobs
from tool_server.knowledge.search import Knowledge, Question, search
from tool_server.settings import Settings


def fill(folder: Path, number: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for at in range(number):
        (folder / f"f{at:02d}.txt").write_text(f"word{at} stands here")
    return folder


def found(knowledge: Knowledge, query: str) -> list[str]:
    if not knowledge.catalogue.profiles():
        return []
    return [passage.source_id for passage in search(knowledge, Question(query)).passages]


def outcomes(jobs: Jobs) -> dict[str, str]:
    """What became of each file in the newest job."""
    return {item.name: item.state for item in jobs.items(jobs.newest()[0].id, limit=1000)}


def test_an_unchanged_file_is_neither_hashed_nor_read(
    knowledge: Knowledge, jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(knowledge, "kb", [fill(tmp_path, 2)])
    monkeypatch.delattr(plan, "hash_file")
    monkeypatch.delattr("tool_server.knowledge.parse.Parser.documents")
    assert ingest(knowledge, "kb", [tmp_path]).documents == 2
    assert outcomes(jobs) == {"f00.txt": "unchanged", "f01.txt": "unchanged"}


def test_a_file_that_was_only_touched_is_hashed_and_left_alone(
    knowledge: Knowledge, jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(knowledge, "kb", [fill(tmp_path, 1)])
    os.utime(tmp_path / "f00.txt", ns=(1, 1))
    monkeypatch.delattr("tool_server.knowledge.parse.Parser.documents")
    ingest(knowledge, "kb", [tmp_path])
    ingest(knowledge, "kb", [tmp_path])
    assert outcomes(jobs) == {"f00.txt": "unchanged"}


def test_another_length_of_passages_cuts_unchanged_files_anew(
    knowledge: Knowledge, tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text("This is a sentence of some length.\n" * 20)
    ingest(knowledge, "kb", [tmp_path])
    before = knowledge.catalogue.passage_count()
    settings = knowledge.settings.model_copy(update={"knowledge_passage_characters": 100})
    changed = Knowledge(settings, knowledge.catalogue, knowledge.index)
    assert ingest(changed, "kb", [tmp_path]).changed == 1
    assert knowledge.catalogue.passage_count() > before


def test_a_moved_file_keeps_its_document_and_passages_under_its_new_name(
    knowledge: Knowledge, jobs: Jobs, tmp_path: Path
) -> None:
    folder = fill(tmp_path / "in", 2)
    ingest(knowledge, "kb", [folder])
    key = document_id("kb", "f01.txt")
    before = knowledge.catalogue.passages_of([key])
    (folder / "below").mkdir()
    (folder / "f01.txt").rename(folder / "below" / "new name.txt")
    ingest(knowledge, "kb", [folder])
    assert outcomes(jobs) == {"f00.txt": "unchanged", "below/new name.txt": "moved"}
    (after,) = knowledge.catalogue.passages_of([key])
    assert (after.id, after.text) == (before[0].id, before[0].text)
    assert (after.source_id, after.title) == ("below/new name.txt", "new name")
    assert found(knowledge, "word1") == ["below/new name.txt"]


def test_a_new_file_at_the_place_of_a_moved_one_is_another_document(
    knowledge: Knowledge, tmp_path: Path
) -> None:
    folder = fill(tmp_path / "in", 1)
    ingest(knowledge, "kb", [folder])
    (folder / "f00.txt").rename(folder / "moved.txt")
    ingest(knowledge, "kb", [folder])
    (folder / "f00.txt").write_text("zeppelin")
    ingest(knowledge, "kb", [folder])
    assert found(knowledge, "zeppelin") == ["f00.txt"]
    assert found(knowledge, "word0") == ["moved.txt"]


def test_lines_of_a_moved_file_move_with_it(knowledge: Knowledge, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.jsonl").write_text('{"id": "1", "text": "apples"}\n{"id": "2", "text": "pears"}')
    ingest(knowledge, "kb", [folder])
    (folder / "a.jsonl").rename(folder / "b.jsonl")
    ingest(knowledge, "kb", [folder])
    assert found(knowledge, "pears") == ["b.jsonl#2"]
    (folder / "b.jsonl").write_text('{"id": "1", "text": "apples"}')
    report = ingest(knowledge, "kb", [folder])
    assert (report.changed, report.withdrawn) == (0, 1)
    assert found(knowledge, "pears") == []


def test_a_file_that_has_vanished_from_its_folder_is_withdrawn(
    knowledge: Knowledge, jobs: Jobs, tmp_path: Path
) -> None:
    folder = fill(tmp_path / "in", 3)
    ingest(knowledge, "kb", [folder])
    (folder / "f02.txt").unlink()
    assert ingest(knowledge, "kb", [folder], delete=False).withdrawn == 0
    assert found(knowledge, "word2") == ["f02.txt"]
    assert ingest(knowledge, "kb", [folder]).withdrawn == 1
    assert found(knowledge, "word2") == []
    assert outcomes(jobs)["f02.txt"] == "withdrawn"


def test_a_file_outside_of_the_folder_that_is_ingested_stays(
    knowledge: Knowledge, tmp_path: Path
) -> None:
    first, second = fill(tmp_path / "a", 2), tmp_path / "ab"
    ingest(knowledge, "kb", [first])
    second.mkdir()
    (second / "other.txt").write_text("zeppelin")
    shutil.rmtree(first)
    ingest(knowledge, "kb", [second])
    assert found(knowledge, "word1") == ["f01.txt"]


@pytest.mark.parametrize(
    ("there", "gone", "refused"), [(20, 7, True), (20, 6, False), (10, 10, False), (11, 11, True)]
)
def test_a_mass_that_has_vanished_stops_the_job_and_changes_nothing(
    knowledge: Knowledge, tmp_path: Path, there: int, gone: int, refused: bool
) -> None:
    folder = fill(tmp_path / "in", there)
    ingest(knowledge, "kb", [folder])
    for at in range(gone):
        (folder / f"f{at:02d}.txt").unlink()
    (folder / "new.txt").write_text("zeppelin")
    report = ingest(knowledge, "kb", [folder])
    assert (report.state == "failed") is refused
    assert ("vanished" in report.failed) is refused
    assert bool(found(knowledge, "word0")) is refused
    assert bool(found(knowledge, "zeppelin")) is not refused


def test_one_folder_of_several_that_has_vanished_is_a_mass_too(
    knowledge: Knowledge, tmp_path: Path
) -> None:
    large, small = fill(tmp_path / "large", 90), fill(tmp_path / "small", 12)
    ingest(knowledge, "kb", [large, small])
    for file in small.iterdir():
        file.unlink()
    assert ingest(knowledge, "kb", [large, small]).state == "failed"
    assert ingest(knowledge, "kb", [large, small], force=True).withdrawn == 12


def test_a_folder_that_is_not_there_takes_nothing_back(
    knowledge: Knowledge, tmp_path: Path
) -> None:
    folder = fill(tmp_path / "in", 3)
    ingest(knowledge, "kb", [folder])
    folder.rename(tmp_path / "elsewhere")
    report = ingest(knowledge, "kb", [folder])
    assert report.refused == [(folder, scan.NO_SUCH)]
    assert found(knowledge, "word1") == ["f01.txt"]


def test_what_lies_below_a_folder_that_cannot_be_opened_has_not_vanished(
    knowledge: Knowledge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(knowledge, "kb", [fill(tmp_path / "in" / "closed", 2).parent])
    closed = tmp_path / "in" / "closed"
    listed = os.scandir

    def refuse(path: str) -> object:  # root may open everything, so the kernel's answer is played
        if Path(path) == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", refuse)
    report = ingest(knowledge, "kb", [tmp_path / "in"])
    assert report.refused == [(closed, "it cannot be opened: Permission denied")]
    assert found(knowledge, "word1") == ["closed/f01.txt"]


def test_two_folders_with_the_same_names_do_not_replace_each_other(
    knowledge: Knowledge, tmp_path: Path
) -> None:
    for folder, text in (("a", "apples"), ("b", "bananas"), ("x/b", "cherries")):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "same.txt").write_text(text)
        ingest(knowledge, "kb", [tmp_path / folder])
    ingest(knowledge, "kb", [tmp_path / "a" / "same.txt"])  # named singly it is the same file
    assert found(knowledge, "apples") == ["same.txt"]
    assert found(knowledge, "bananas") == ["b/same.txt"]
    (third,) = found(knowledge, "cherries")
    assert third.startswith("b-")
    assert [base.documents for base in knowledge.catalogue.bases()] == [3]


def test_a_file_that_fails_in_the_middle_keeps_its_old_version_whole(
    knowledge: Knowledge, tmp_path: Path
) -> None:
    lines = [f'{{"id": "{at}", "text": "word{at}"}}' for at in range(500)]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(lines))
    ingest(knowledge, "kb", [path])
    path.write_text("\n".join(line.replace("word", "other") for line in lines[:499]) + "\n{")
    assert ingest(knowledge, "kb", [path]).refused == [(path, "line 500 is not JSON")]
    assert found(knowledge, "word7") == ["a.jsonl#7"]
    assert found(knowledge, "other7") == []


def test_the_same_file_in_two_bases_is_two_documents(knowledge: Knowledge, tmp_path: Path) -> None:
    fill(tmp_path, 1)
    ingest(knowledge, "one", [tmp_path])
    ingest(knowledge, "two", [tmp_path])
    assert [base.documents for base in knowledge.catalogue.bases()] == [1, 1]


def test_a_report_counts_only_what_was_taken(settings: Settings, knowledge: Knowledge) -> None:
    assert ingest(knowledge, "kb", []) == Report()
