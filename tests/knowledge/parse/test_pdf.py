"""PDF: what of a page is text, what becomes of lines, headings, pages without text."""

from tests.knowledge.parse.conftest import Read
from tests.knowledge.parse.files import pdf


def test_chinese_text_has_its_page(read: Read) -> None:
    (document,) = read("a.pdf", pdf([["年假十二天。"], ["病假八天。"]]))
    assert [(section.page, section.text) for section in document.sections] == [
        (1, "年假十二天。"),
        (2, "病假八天。"),
    ]


def test_what_is_known_about_a_file_is_metadata(read: Read) -> None:
    content = pdf(
        [["text"]], lambda canvas: (canvas.setAuthor("李雷"), canvas.setTitle("员工手册"))
    )
    (document,) = read("a.pdf", content)
    assert document.title == "员工手册"
    assert document.metadata["author"] == "李雷"
    assert document.metadata["pages"] == 1.0
    assert str(document.metadata["created"]).startswith("20")


def test_a_title_that_a_program_wrote_is_none(read: Read) -> None:
    content = pdf([["text"]], lambda canvas: canvas.setTitle("Microsoft Word - x.docx"))
    assert read("手册.pdf", content)[0].title == "手册"


def test_headers_footers_and_page_numbers_are_dropped(read: Read) -> None:
    words = ("苹果", "香蕉", "梨子", "桃子")
    pages = [
        [
            "员工手册 第一版",
            *(f"{word}的第{line}句话。" for line in "甲乙丙丁戊己"),
            f"- {number} -",
        ]
        for number, word in enumerate(words, start=1)
    ]
    (document,) = read("a.pdf", pdf(pages))
    text = "\n".join(section.text for section in document.sections)
    assert "第一版" not in text
    assert "- 2 -" not in text
    assert all(f"{word}的第甲句话。" in text and f"{word}的第己句话。" in text for word in words)


def test_lines_that_the_page_broke_are_joined(read: Read) -> None:
    lines = [
        "公司为每位员工提供年假，员工工作满一年以后即可以申请，申请需要提前一个",
        "月提出。",
        "Employees may take their leave after one full year of work, and they ap-",
        "ply for it one month before, in writing, to the head of the department of",
        "theirs.",
    ]
    (document,) = read("a.pdf", pdf([lines]))
    assert document.sections[0].text.split("\n") == [
        lines[0] + lines[1],
        f"{lines[2][:-1]}{lines[3]} {lines[4]}",
    ]


def test_bookmarks_are_headings(read: Read) -> None:
    content = pdf([["甲"], ["乙"]], bookmarks=("第一部分", "第二部分"))
    (document,) = read("a.pdf", content)
    assert [section.heading for section in document.sections] == ["第一部分", "第二部分"]


def test_a_page_is_cut_where_a_bookmarks_title_stands(read: Read) -> None:
    pages = [["1 Scope", "甲", "2 Terms", "乙"], ["丙"]]
    marks = ("Scope", "Terms")
    content = pdf(pages, bookmarks=marks, on_first_page=True)
    (document,) = read("a.pdf", content)
    assert [(s.page, s.heading, s.text) for s in document.sections] == [
        (1, "Scope", "甲"),
        (1, "Terms", "乙"),
        (2, "Terms", "丙"),
    ]


def test_articles_are_sections_and_may_cross_a_page(read: Read) -> None:
    (document,) = read(
        "a.pdf",
        pdf(
            [
                ["第一章 总则", "第一条 为了规范，制定本法。", "第二条 本法适用"],
                ["于公司。", "第三条 完。"],
            ]
        ),
    )
    assert [(s.page, s.heading, s.text) for s in document.sections] == [
        (1, "第一章 总则 › 第一条", "第一条 为了规范，制定本法。"),
        (1, "第一章 总则 › 第二条", "第二条 本法适用\n于公司。"),
        (2, "第一章 总则 › 第三条", "第三条 完。"),
    ]


def test_pages_without_a_text_layer_are_counted(read: Read) -> None:
    (document,) = read("a.pdf", pdf([["text"], [], []]))
    assert document.metadata["pages_without_text"] == 2.0
