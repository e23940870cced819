"""Ingesting: what is read, what is refused and why, what a second time does."""

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from tool_server.errors import BadRequest
from tool_server.knowledge.commands import ingest as command
from tool_server.knowledge.document import document_id
from tool_server.knowledge.ingest import Report, ingest
from tool_server.knowledge.search import Knowledge, Question, search
from tool_server.settings import Settings


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def refused(report: Report) -> dict[str, str]:
    return {path.name: reason for path, reason in report.refused}


def texts(knowledge: Knowledge, source: str, base: str = "kb") -> list[tuple[str, str]]:
    stored = knowledge.catalogue.passages_of([document_id(base, source)])
    return [(passage.title, passage.text) for passage in stored]


def test_markdown_is_cut_at_headings_and_keeps_their_path(
    knowledge: Knowledge, tmp_path: Path
) -> None:
    write(
        tmp_path,
        "a.md",
        "# 手册\n\n## 假期\n\n### 年假\n12 天\n\n### 病假\n8 天\n\n## 停车\n120 元\n",
    )
    ingest(knowledge, "kb", [tmp_path])
    assert texts(knowledge, "a.md") == [
        ("手册 › 假期 › 年假", "12 天"),
        ("手册 › 假期 › 病假", "8 天"),
        ("手册 › 停车", "120 元"),
    ]


@pytest.mark.parametrize("text", ["年假有几天", "# 员工手册", "## 健身房", "停车每月一百二十元。"])
def test_a_short_text_in_gbk_is_not_taken_for_another_language(
    knowledge: Knowledge, tmp_path: Path, text: str
) -> None:
    write(tmp_path, "a.txt", text.encode("gbk"))
    ingest(knowledge, "kb", [tmp_path])
    assert texts(knowledge, "a.txt") == [("a", text)]


def test_a_fence_may_be_indented_and_is_closed_by_its_own_kind_only(
    knowledge: Knowledge, tmp_path: Path
) -> None:
    body = "- list\n  ```\n# no heading\n~~~\n# no heading\n  ```"
    write(tmp_path, "a.md", f"# T\n{body}\n## B\nb\n")
    ingest(knowledge, "kb", [tmp_path])
    assert texts(knowledge, "a.md") == [("T", body), ("T › B", "b")]


def test_a_heading_inside_a_code_fence_is_text(knowledge: Knowledge, tmp_path: Path) -> None:
    write(tmp_path, "a.md", "# T\n```\n# not a heading\n```\n")
    ingest(knowledge, "kb", [tmp_path])
    assert texts(knowledge, "a.md") == [("T", "```\n# not a heading\n```")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_text_is_read_in_the_encodings_of_chinese_offices(
    knowledge: Knowledge, tmp_path: Path, encoding: str
) -> None:
    text = (
        "公司的停车场位于地下一层，员工每月缴纳停车费一百二十元，访客请在前台登记后领取停车券。" * 3
    )
    write(tmp_path, "a.txt", text.encode(encoding))
    ingest(knowledge, "kb", [tmp_path])
    assert texts(knowledge, "a.txt")[0][1] == text


def test_a_json_line_is_a_document_each(knowledge: Knowledge, tmp_path: Path) -> None:
    lines = [
        {"id": 7, "title": "年假", "text": "12 天"},
        {"id": "b", "text": "8 天", "url": "http://x"},
    ]
    write(tmp_path, "a.jsonl", "\n".join(json.dumps(line, ensure_ascii=False) for line in lines))
    report = ingest(knowledge, "kb", [tmp_path])
    assert report.documents == 2
    assert texts(knowledge, "a.jsonl#7") == [("年假", "12 天")]
    assert texts(knowledge, "a.jsonl#b") == [("b", "8 天")]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.txt", b"\x00\x01\x02\x03" * 100, "it is not text"),
        ("a.md", b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20, "it is not text"),
        ("a.txt", b"  \n ", "it is empty"),
        ("a.md", b"# only\n## headings\n", "it has headings only"),
        ("a.jsonl", b'{"id": "1", "text": "x"}\n{"id": ', "line 2 is not JSON"),
        ("a.jsonl", b'{"text": "x"}', "line 1: id: Field required"),
        (
            "a.jsonl",
            b'{"id": "1", "text": "x"}\n{"id": "1", "text": "y"}',
            "line 2: the id '1' comes twice",
        ),
        ("a.jsonl", b'{"id": "1", "text": " "}', "line 1: text: Must not be empty"),
        (
            "a.jsonl",
            b'{"id": "1", "text": "\\ud800"}',
            "line 1: text: Holds half of a surrogate pair",
        ),
        ("a.jsonl", b"[" * 200_000, "line 1 is not JSON"),
        ("a.jsonl", b'{"id": "1", "text": "x", "n": ' + b"1" * 5000 + b"}", "line 1 is not JSON"),
        ("a.exe", b"MZ", "files of the kind '.exe' are not read"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_the_reason_and_the_others_are_taken(
    knowledge: Knowledge, tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    write(tmp_path, name, content)
    write(tmp_path, "good.md", "# G\ntext")
    report = ingest(knowledge, "kb", [tmp_path])
    assert refused(report) == {name: reason}
    assert texts(knowledge, "good.md") == [("G", "text")]


def test_a_path_that_does_not_exist_is_said(knowledge: Knowledge, tmp_path: Path) -> None:
    assert refused(ingest(knowledge, "kb", [tmp_path / "no"])) == {"no": "there is no such file"}


def test_a_file_over_the_limit_is_refused(knowledge: Knowledge, tmp_path: Path) -> None:
    write(tmp_path, "a.txt", b"x" * (knowledge.settings.knowledge_file_limit + 1))
    assert "more than" in refused(ingest(knowledge, "kb", [tmp_path]))["a.txt"]


def test_an_unchanged_file_is_left_alone_and_a_changed_one_replaces_its_passages(
    knowledge: Knowledge, tmp_path: Path
) -> None:
    write(tmp_path, "a.md", "# A\nold words about parking")
    assert ingest(knowledge, "kb", [tmp_path]).changed == 1
    assert ingest(knowledge, "kb", [tmp_path]).changed == 0
    write(tmp_path, "a.md", "# A\nnew words about lunch")
    assert ingest(knowledge, "kb", [tmp_path]).changed == 1
    assert texts(knowledge, "a.md") == [("A", "new words about lunch")]
    assert search(knowledge, Question("parking", bases=("kb",), top_k=3)).passages == ()
    assert search(knowledge, Question("lunch", bases=("kb",), top_k=3)).found


def test_a_long_section_is_cut_at_sentence_ends(knowledge: Knowledge, tmp_path: Path) -> None:
    write(tmp_path, "a.md", "# 长\n" + "这是一个用来填满段落的完整句子。" * 200)
    ingest(knowledge, "kb", [tmp_path])
    passages = [text for _, text in texts(knowledge, "a.md")]
    limit = knowledge.settings.knowledge_passage_characters
    assert len(passages) > 1
    assert all(len(text) <= limit and text.endswith("。") for text in passages)


def test_a_cut_keeps_words_and_lines_apart(knowledge: Knowledge, tmp_path: Path) -> None:
    lines = [f"- item {number} costs {number} yuan" for number in range(60)]
    text = "\n".join(lines) + "\n\n" + "sevens " * 400 + "\n\nend"
    write(tmp_path, "a.txt", text)
    ingest(knowledge, "kb", [tmp_path])
    passages = [text for _, text in texts(knowledge, "a.txt")]
    assert len(passages) > 3
    assert "\n".join(passages).split() == text.split()
    assert set(lines) <= {line for passage in passages for line in passage.split("\n")}


def test_a_line_that_has_gone_from_a_file_is_no_longer_found(
    knowledge: Knowledge, tmp_path: Path
) -> None:
    path = write(
        tmp_path, "a.jsonl", '{"id": "1", "text": "apples"}\n{"id": "2", "text": "zeppelin"}'
    )
    other = write(tmp_path, "b.jsonl", '{"id": "2", "text": "bananas"}')
    ingest(knowledge, "kb", [path, other])
    write(tmp_path, "a.jsonl", '{"id": "1", "text": "apples"}')
    assert ingest(knowledge, "kb", [path]).withdrawn == 1
    assert not search(knowledge, Question("zeppelin", bases=("kb",), top_k=3)).found
    assert search(knowledge, Question("bananas", bases=("kb",), top_k=3)).found
    assert [base.documents for base in knowledge.catalogue.bases()] == [2]
    write(tmp_path, "a.jsonl", '{"id": "2", "text": "zeppelin"}')
    ingest(knowledge, "kb", [path])
    assert search(knowledge, Question("zeppelin", bases=("kb",), top_k=3)).found


def test_two_files_of_one_name_are_not_taken_for_one(knowledge: Knowledge, tmp_path: Path) -> None:
    first, second = write(tmp_path, "x/a.md", "apples"), write(tmp_path, "y/a.md", "bananas")
    report = ingest(knowledge, "kb", [first, first, second])
    assert (report.files, report.refused) == (2, [])
    assert texts(knowledge, "a.md") == [("a", "apples")]
    assert texts(knowledge, "y/a.md") == [("a", "bananas")]


def test_hidden_files_and_folders_are_left_out(knowledge: Knowledge, tmp_path: Path) -> None:
    for name in (".git/config", ".git/x.md", ".hidden.md", "folder/good.md"):
        write(tmp_path, name, "text")
    report = ingest(knowledge, "kb", [tmp_path])
    assert (report.files, report.refused) == (1, [])


def test_a_file_name_that_is_not_utf_8_is_refused(knowledge: Knowledge, tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + "年假.txt".encode("gbk")))
    path.write_text("text")
    ((shown, reason),) = ingest(knowledge, "kb", [tmp_path]).refused
    assert (shown.name, reason) == (r"\xc4\xea\xbc\xd9.txt", "its name is not UTF-8")


def test_the_command_names_each_file_and_each_refusal_without_a_stack(
    settings: Settings, tmp_path: Path
) -> None:
    write(tmp_path, "a.md", "text")
    write(tmp_path, "b.jsonl", "{")
    environ = {
        "SHENQIAO_DATA_DIR": str(settings.data_dir),
        "SHENQIAO_RUN_DIR": str(settings.run_dir),
        "SHENQIAO_MODEL_ENABLED": "false",
    }
    done = CliRunner(env=environ).invoke(command, ["--base", "kb", str(tmp_path)])
    assert done.exit_code == 1
    assert done.stdout == "kb: 1 files, 1 documents, 1 new or changed\n"
    assert done.stderr.splitlines() == [
        "indexed a.md, 1 documents",
        f"refused {tmp_path}/b.jsonl: line 1 is not JSON",
    ]


def test_the_command_says_that_another_one_is_running(
    knowledge: Knowledge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tool_server.knowledge.jobs.run.WAIT_S", 0.1)
    environ = {
        "SHENQIAO_DATA_DIR": str(knowledge.settings.data_dir),
        "SHENQIAO_RUN_DIR": str(knowledge.settings.run_dir),
        "SHENQIAO_MODEL_ENABLED": "false",
    }
    with knowledge.index.writing(knowledge.catalogue):
        done = CliRunner(env=environ).invoke(command, ["--base", "kb", str(tmp_path)])
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: Another process writes the index")


def test_a_base_with_an_impossible_name_is_refused(knowledge: Knowledge, tmp_path: Path) -> None:
    with pytest.raises(BadRequest):
        ingest(knowledge, "../etc", [tmp_path])
