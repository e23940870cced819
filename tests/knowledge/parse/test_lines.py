"""Numbers, the margins of pages, and lines that a page has broken."""

import pytest

from tool_server.knowledge.parse.counting import chinese
from tool_server.knowledge.parse.numbered import numbered, value_of
from tool_server.knowledge.parse.pages import without_margins
from tool_server.knowledge.parse.paragraphs import joined


def test_chinese_numbers_are_read_as_they_are_written() -> None:
    assert [value_of(chinese(count)) for count in range(1, 1000)] == list(range(1, 1000))
    assert [chinese(count) for count in (10, 12, 20, 105, 110)] == [
        "十",
        "十二",
        "二十",
        "一百零五",
        "一百一十",
    ]


@pytest.mark.parametrize(("number", "value"), [("XIV", 14), ("IX", 9), ("12", 12)])
def test_other_numbers_are_read(number: str, value: int) -> None:
    assert value_of(number) == value


def test_an_inserted_article_is_an_article() -> None:
    lines = ["第一条 甲。", "第一条之一 乙。", "第二条 丙。"]
    sections = numbered([(line, None) for line in lines])
    assert [section.heading for section in sections] == ["第一条", "第一条之一", "第二条"]


def test_the_line_of_an_item_that_may_be_of_a_list_stays_in_the_text() -> None:
    lines = ["1. 苹果", "很甜", "2. 梨", "很脆"]
    sections = numbered([(line, None) for line in lines])
    assert [section.text for section in sections] == ["1. 苹果\n很甜", "2. 梨\n很脆"]


def test_what_few_pages_repeat_stays() -> None:
    pages = [
        ["抬头", *(f"{word}{line}" for line in "一二三四"), f"第 {number} 页"]
        for number, word in enumerate("甲乙丙丁戊")
    ]
    pages[4][0] = "别的"
    assert without_margins(pages)[0] == ["甲一", "甲二", "甲三", "甲四"]
    assert without_margins(pages)[4][0] == "别的"
    assert without_margins(pages[:2]) == pages[:2]


def test_a_header_that_changes_with_the_chapter_is_dropped() -> None:
    pages = [
        [f"Chapter {1 + number // 4} {number}", *(f"{word}{line}" for line in "一二三四五")]
        for number, word in enumerate("甲乙丙丁戊己庚辛")
    ]
    assert without_margins(pages)[5] == ["己一", "己二", "己三", "己四", "己五"]


def test_short_lines_are_joined_to_nothing() -> None:
    assert joined(["年假", "十二天", "病假"]) == ["年假", "十二天", "病假"]


def test_a_heading_or_item_is_joined_to_nothing() -> None:
    full = "这一行写得满满的一直到了页面的右边缘所以它会"
    assert joined([full, "在下一行继续。", full, "第二条 乙。"]) == [
        full + "在下一行继续。",
        full,
        "第二条 乙。",
    ]
