"""JSON and JSON Lines: documents with metadata and rights, or readable text."""

import json

import pytest

from tests.knowledge.parse.conftest import Read
from tool_server.knowledge.parse import Unreadable


def test_a_line_may_have_metadata_and_rights(read: Read) -> None:
    line = {
        "id": 7,
        "title": "年假",
        "text": "十二天",
        "url": "https://example.com/7",
        "metadata": {"部门": "人事", "年": 2025},
        "access": ["department:corp/3", "user:corp/li"],
    }
    (document,) = read("a.jsonl", json.dumps(line))
    assert (document.source_id, document.title, document.url) == ("a.jsonl#7", "年假", line["url"])
    assert document.metadata == {"kind": "jsonl", "部门": "人事", "年": 2025.0}
    assert document.access == ("department:corp/3", "user:corp/li")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("access", []),
        ("access", ["everybody"]),
        ("access", ["*"]),
        ("access", "public"),
        ("access", ["public"] * 65),
        ("metadata", {"a": {"b": 1}}),
        ("metadata", {"a": True}),
        ("metadata", {"a": 10**400}),
        ("metadata", {"a": "x" * 1001}),
        ("metadata", {"": "x"}),
        ("metadata", {str(number): 1 for number in range(40)}),
        ("metadata", {"a": "\ud800"}),
    ],
)
def test_a_wrong_right_or_value_refuses_the_file_and_names_the_line(
    read: Read, field: str, value: object
) -> None:
    lines = [{"id": 1, "text": "x"}, {"id": 2, "text": "x", field: value}]
    with pytest.raises(Unreadable, match=f"^line 2: {field}"):
        read("a.jsonl", "\n".join(map(json.dumps, lines)))


def test_no_document_comes_of_a_file_with_a_wrong_line_at_its_end(read: Read) -> None:
    lines = [json.dumps({"id": number, "text": "x"}) for number in range(2000)]
    with pytest.raises(Unreadable, match="line 2001 is not JSON"):
        read("a.jsonl", "\n".join([*lines, "{"]))


def test_objects_with_id_and_text_are_documents(read: Read) -> None:
    items = [{"id": "a", "text": "苹果"}, {"id": "b", "title": "梨", "text": "三元"}]
    documents = read("x.json", json.dumps(items))
    assert [(d.source_id, d.title) for d in documents] == [("x.json#a", "a"), ("x.json#b", "梨")]


def test_other_objects_are_sections_of_readable_text(read: Read) -> None:
    items = [{"name": "苹果", "price": 5, "tags": ["a", "b"], "at": {"city": "巴黎", "zip": None}}]
    (document,) = read("x.json", json.dumps(items))
    assert [(section.heading, section.text) for section in document.sections] == [
        ("苹果", "name: 苹果\nprice: 5\ntags: a; b\nat.city: 巴黎")
    ]


def test_the_lists_of_an_object_are_sections_under_their_key(read: Read) -> None:
    value = {"公司": "甲", "员工": [{"name": "张三", "天数": 12}], "地址": {"市": "上海"}}
    (document,) = read("x.json", json.dumps(value))
    assert [(section.heading, section.text) for section in document.sections] == [
        ("", "公司: 甲"),
        ("员工 › 张三", "name: 张三\n天数: 12"),
        ("地址", "市: 上海"),
    ]
