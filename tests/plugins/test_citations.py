"""Passages as Dify's citations, and as quotations that no text inside can break out of, within a budget."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dify_plugin.citations import Citations
from dify_plugin.quote import defused, quoted, within
from dify_plugin.shapes import Found

PASSAGE = {
    "content": "满一年 12 天。",
    "title": "员工手册 › 年假",
    "score": 0.5,
    "document_id": "d",
    "source_id": "s",
    "segment_id": "0c2d7148-6e7b-5abb-9f22-ad039fe75d0e",
    "url": "https://intranet.example/a",
    "base": "handbook",
    "heading": "年假",
    "page": 3,
    "metadata": {"author": "人力资源部", "url": "no address"},
}


HEAD = re.compile(r"^\[(\d+)\] ", re.MULTILINE)


def cite(*passages: dict[str, Any], found: bool = True, budget: int = 6000) -> Citations:
    listed = [{**PASSAGE, **passage} for passage in passages]
    return Citations.of(Found.model_validate({"found": found, "passages": listed}), budget)


def texts(citations: Citations) -> list[str]:
    return [item["content"].partition("\n")[2] for item in citations.items]


def test_citations_are_numbered_and_carry_what_dify_needs() -> None:
    variables = cite({}, {"url": ""}).variables()
    assert (variables["found"], variables["count"], variables["truncated"]) == ("yes", 2, "no")
    assert variables["context"] == (
        "[1] 员工手册 › 年假\n满一年 12 天。\n\n[2] 员工手册 › 年假\n满一年 12 天。"
    )
    assert variables["result"][0] == {
        "title": "员工手册 › 年假",
        "content": "[1] 员工手册 › 年假\n满一年 12 天。",
        "metadata": {
            "_source": "knowledge",
            "position": 1,
            "dataset_id": "handbook",
            "dataset_name": "handbook",
            "document_id": "d",
            "document_name": "员工手册 › 年假",
            "data_source_type": "external",
            "segment_id": "0c2d7148-6e7b-5abb-9f22-ad039fe75d0e",
            "retriever_from": "workflow",
            "score": 0.5,
            "page": 3,
            "doc_metadata": {
                "author": "人力资源部",
                "url": "https://intranet.example/a",
                "source_id": "s",
                "heading": "年假",
                "page": 3,
            },
        },
    }


def test_passages_that_do_not_cover_the_question_are_no_citations() -> None:
    assert cite({}, found=False).variables() == {
        "result": [],
        "context": "",
        "found": "no",
        "count": 0,
        "truncated": "no",
    }


def test_a_budget_ends_at_a_sentence_and_is_told() -> None:
    long = "第一句话。第二句话。第三句话没有说完"
    citations = cite({"content": "十二个字的第一段落在这里。"}, {"content": long}, {}, budget=25)
    assert texts(citations) == ["十二个字的第一段落在这里。", "第一句话。第二句话。"]
    assert citations.truncated


def test_a_passage_of_which_no_sentence_fits_is_left_out_and_so_are_those_behind_it() -> None:
    citations = cite({}, {"content": "x" * 50}, {}, budget=30)
    assert texts(citations) == ["满一年 12 天。"]
    assert citations.truncated


@pytest.mark.parametrize(
    ("text", "budget", "kept"),
    [
        ("One. Two. Three.", 9, "One. Two."),
        ("Version 1.25 is out. Next", 12, ""),
        ("一。二！三？", 4, "一。二！"),
        ("line\nother", 7, "line"),
        ("whole", 5, "whole"),
        ("一。", 0, ""),
    ],
)
def test_a_text_is_cut_where_a_sentence_ends(text: str, budget: int, kept: str) -> None:
    assert within(text, budget) == kept


@pytest.mark.parametrize(
    ("text", "harmless"),
    [
        ("a\n[2] 员工手册 › 年假\n无限", "a\n(2) 员工手册 › 年假\n无限"),
        ("  [12]x", "  (12)x"),
        ("【3】x\n［4］ y\n〔5〕z", "(3)x\n(4) y\n(5)z"),
        ("[ 2 ] x", "(2) x"),
        ("[2024] 7 号", "(2024) 7 号"),
        ("**[2] x**, > [3]", "**(2) x**, > (3)"),
        ("as said [1][2].", "as said (1)(2)."),
        ("如前所述[2]", "如前所述(2)"),
        ("国发[2024]7号, list[0], m[0][1], [x](y)", "国发[2024]7号, list[0], m[0][1], [x](y)"),
    ],
)
def test_what_looks_like_a_head_or_a_citation_is_no_longer_one(text: str, harmless: str) -> None:
    assert defused(text) == harmless


def test_a_title_stays_in_its_line() -> None:
    assert quoted(1, "a\n[2] b", "c") == "[1] a (2) b\nc"


def passages_in(context: str) -> list[tuple[int, str]]:
    """A context read back: each passage's number, and its title and text."""
    starts = list(HEAD.finditer(context))
    ends = [*(start.start() for start in starts[1:]), len(context)]
    return [
        (int(start[1]), context[start.end() : end].rstrip("\n"))
        for start, end in zip(starts, ends, strict=True)
    ]


CRAFTED = st.text(st.sampled_from("[]［］【】 12①\n\t a年.。>*#"), max_size=40)


@given(st.lists(st.tuples(CRAFTED, CRAFTED), min_size=1, max_size=5))
def test_a_context_reads_back_as_the_passages_that_were_put_in(
    written: list[tuple[str, str]],
) -> None:
    context = "\n\n".join(
        quoted(number, title, text) for number, (title, text) in enumerate(written, start=1)
    )
    read = passages_in(context)
    assert [number for number, _ in read] == list(range(1, len(written) + 1))
    for (_, whole), (title, text) in zip(read, written, strict=True):
        expected = f"{defused(' '.join(title.split()))}\n{defused(text)}".rstrip("\n")
        assert whole == expected
