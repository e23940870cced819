"""Cutting: what stays whole, and where the cuts are."""

from tool_server.knowledge.cut import cut
from tool_server.knowledge.document import Document, Section

LIMIT = 100


def pieces(*sections: Section) -> list[str]:
    return [piece.text for piece in cut(Document("a", "a", sections), LIMIT)]


def test_a_row_stays_whole_where_it_fits() -> None:
    rows = [f"名称: 苹果{number}; 价格: {number}; 备注: 好吃。不贵。" for number in range(30)]
    passages = pieces(Section("", "\n".join(rows)))
    assert [row for passage in passages for row in passage.split("\n")] == rows
    assert all(len(passage) <= LIMIT for passage in passages)


def test_an_article_that_fits_is_one_passage_with_its_paragraphs() -> None:
    article = "第一条 有下列情形的：\n\n（一）甲；\n（二）乙。"
    assert pieces(Section("第一条", article)) == [article.replace("\n\n", "\n")]


def test_no_passage_reaches_across_sections_however_short() -> None:
    found = cut(Document("a", "a", (Section("甲", "一。", 1), Section("甲", "二。", 2))), LIMIT)
    assert [(piece.text, piece.section, piece.page) for piece in found] == [
        ("一。", 0, 1),
        ("二。", 1, 2),
    ]


def test_nothing_is_lost_and_nothing_comes_twice() -> None:
    text = "\n".join(f"第{number}句话说的是年假；它也说病假。" * 7 for number in range(9))
    assert "".join("".join(pieces(Section("", text))).split()) == "".join(text.split())
