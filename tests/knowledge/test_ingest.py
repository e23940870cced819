"""Ingesting: what is read, what is refused and why, what a second time does."""

import json
from pathlib import Path

import pytest

from tool_server.errors import BadRequest
from tool_server.knowledge.document import document_id
from tool_server.knowledge.ingest import Report, ingest
from tool_server.knowledge.search import Knowledge, search


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
    assert search(knowledge, "parking", base="kb", top_k=3).passages == ()
    assert search(knowledge, "lunch", base="kb", top_k=3).found


def test_a_long_section_is_cut_at_sentence_ends(knowledge: Knowledge, tmp_path: Path) -> None:
    write(tmp_path, "a.md", "# 长\n" + "这是一个用来填满段落的完整句子。" * 200)
    ingest(knowledge, "kb", [tmp_path])
    passages = [text for _, text in texts(knowledge, "a.md")]
    limit = knowledge.settings.knowledge_passage_characters
    assert len(passages) > 1
    assert all(len(text) <= limit and text.endswith("。") for text in passages)


def test_a_base_with_an_impossible_name_is_refused(knowledge: Knowledge, tmp_path: Path) -> None:
    with pytest.raises(BadRequest):
        ingest(knowledge, "../etc", [tmp_path])
