"""CSV and TSV: the delimiter, the header, a section a row."""

import pytest

from tests.knowledge.parse.conftest import Read


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "名称,价格\n苹果,5\n梨,3\n"),
        ("a.csv", "名称;价格\n苹果;5\n梨;3\n"),
        ("a.tsv", "名称\t价格\n苹果\t5\n梨\t3\n"),
        ("a.csv", '"名称","价格"\r\n"苹果",5\r\n"梨",3\r\n'),
    ],
)
def test_each_row_has_the_names_of_its_columns(read: Read, name: str, text: str) -> None:
    (document,) = read(name, text)
    assert [(section.heading, section.text) for section in document.sections] == [
        ("#2", "名称: 苹果; 价格: 5"),
        ("#3", "名称: 梨; 价格: 3"),
    ]


def test_a_cell_may_hold_the_delimiter_and_lines(read: Read) -> None:
    (document,) = read("a.csv", '问题,答案\n年假几天？,"十二天,\n提前申请"\n'.encode("gbk"))
    assert document.sections[0].text == "问题: 年假几天？; 答案: 十二天, 提前申请"


def test_rows_without_a_header_are_values(read: Read) -> None:
    (document,) = read("a.csv", "苹果,5\n梨,3\n")
    assert [section.text for section in document.sections] == ["苹果; 5", "梨; 3"]
