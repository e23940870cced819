"""Text: encodings, and the headings of texts that have no marks for them."""

import pytest

from tests.knowledge.parse.conftest import Read

LAW = """中华人民共和国某法
目录
第一章　总则
第二章　附则

第一章　总则
第一条　为了规范，制定本法。
第二条　有下列情形的，适用
第一条的规定：
（一）甲；
（二）乙。
第二章　附则
第三条　本法自公布之日起施行。
"""


def sections(read: Read, text: str | bytes) -> list[tuple[str, str]]:
    return [(section.heading, section.text) for section in read("a.txt", text)[0].sections]


def test_articles_of_a_law_are_sections_under_their_chapters(read: Read) -> None:
    assert sections(read, LAW) == [
        ("", "中华人民共和国某法\n目录"),
        ("第一章 总则 › 第一条", "第一条　为了规范，制定本法。"),
        (
            "第一章 总则 › 第二条",
            "第二条　有下列情形的，适用\n第一条的规定：\n（一）甲；\n（二）乙。",
        ),
        ("第二章 附则 › 第三条", "第三条　本法自公布之日起施行。"),
    ]


def test_chinese_numbered_headings_are_nested(read: Read) -> None:
    text = "一、总则\n适用于全体员工。\n二、考勤\n（一）时间\n早九点。\n（二）请假\n提前一天。\n三、附则\n即日起执行。"
    assert [heading for heading, _ in sections(read, text)] == [
        "一、总则",
        "二、考勤 › （一）时间",
        "二、考勤 › （二）请假",
        "三、附则",
    ]


def test_decimal_headings_are_nested(read: Read) -> None:
    text = "1 Scope\nThis is text.\n1.1 Terms\nThe terms.\n1.2 People\nPeople.\n2 Rules\nRules."
    assert [heading for heading, _ in sections(read, text)] == [
        "1 Scope",
        "1 Scope › 1.1 Terms",
        "1 Scope › 1.2 People",
        "2 Rules",
    ]


def test_english_articles_are_sections(read: Read) -> None:
    text = "Chapter 1 General\nArticle 1 This applies to all.\nArticle 2 Nobody runs.\nChapter 2 End\nArticle 3 Done."
    assert [heading for heading, _ in sections(read, text)] == [
        "Chapter 1 General › Article 1",
        "Chapter 1 General › Article 2",
        "Chapter 2 End › Article 3",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "要买：\n1. 苹果\n2. 香蕉\n3. 梨\n完。",
        "一、苹果\n二、香蕉\n三、梨",
        "第五条 单独一条不成体例。\n以及第九条 也不成。",
        "12 个月\n30 天",
    ],
)
def test_a_list_or_a_lone_number_makes_no_headings(read: Read, text: str) -> None:
    assert sections(read, text) == [("", text)]


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("年假有几天", "gbk"),
        ("请假需要提前三天申请，由部门经理批准。", "gb18030"),
        ("員工請假需要提前三天申請，由部門經理批准。", "big5"),
        ("年假有十二天，病假有八天。", "utf-16"),
        ("有給休暇は年に十二日あります。", "euc_jp"),
        ("연차 휴가는 일 년에 열두 일입니다. 미리 신청하십시오.", "euc_kr"),
        ("年假有十二天", "utf-8-sig"),
    ],
)
def test_a_short_text_is_read_in_its_own_encoding(read: Read, text: str, encoding: str) -> None:
    assert sections(read, text.encode(encoding)) == [("", text)]
