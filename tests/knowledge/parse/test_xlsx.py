"""Excel: a section a row, headers, merged cells, values as a person reads them."""

import io
import re
import zipfile
from datetime import datetime

import openpyxl
from openpyxl.worksheet.worksheet import Worksheet

from tests.knowledge.parse.conftest import Read
from tests.knowledge.parse.files import with_part, workbook


def test_a_row_says_the_names_of_its_columns(read: Read) -> None:
    def fill(sheet: Worksheet) -> None:
        sheet.title = "价格"
        for row in (
            ("名称", "价格", "自"),
            ("苹果", 5, datetime.fromisoformat("2025-06-02")),
            (),
            ("梨", 3.5, None),
        ):
            sheet.append(row)

    (document,) = read("a.xlsx", workbook(fill))
    assert [(section.page, section.heading, section.text) for section in document.sections] == [
        (1, "价格 › #2", "名称: 苹果; 价格: 5; 自: 2025-06-02"),
        (1, "价格 › #4", "名称: 梨; 价格: 3.5"),
    ]


def test_a_header_of_two_rows_below_a_title_is_joined_and_merged_cells_are_filled(
    read: Read,
) -> None:
    def fill(sheet: Worksheet) -> None:
        sheet.append(("2025 年销售",))
        sheet.append(("部门", "姓名", "销售额", None))
        sheet.append((None, None, "一季度", "二季度"))
        sheet.append(("华东", "张三", 10, 20))
        sheet.append((None, "李四", 30, 40))
        for merged in ("A1:D1", "A2:A3", "B2:B3", "C2:D2", "A4:A5"):
            sheet.merge_cells(merged)

    (document,) = read("a.xlsx", workbook(fill))
    assert [(section.heading, section.text) for section in document.sections] == [
        ("Sheet", "2025 年销售"),
        ("Sheet › #4", "部门: 华东; 姓名: 张三; 销售额 一季度: 10; 销售额 二季度: 20"),
        ("Sheet › #5", "部门: 华东; 姓名: 李四; 销售额 一季度: 30; 销售额 二季度: 40"),
    ]


def test_a_formula_gives_the_value_that_was_calculated(read: Read) -> None:
    def fill(sheet: Worksheet) -> None:
        sheet.append(("甲", "和"))
        sheet.append(("苹果", "=1+2"))

    changed = with_sheet(workbook(fill), b"<v ?/>|<v></v>", b"<v>3</v>")
    assert read("a.xlsx", changed)[0].sections[0].text == "甲: 苹果; 和: 3"


def test_percentages_times_and_truth_are_read_as_they_are_shown(read: Read) -> None:
    def fill(sheet: Worksheet) -> None:
        sheet.append(("率", "时", "真"))
        sheet.append((0.125, datetime.fromisoformat("2025-06-02T09:30"), True))
        sheet["A2"].number_format = "0.0%"

    text = read("a.xlsx", workbook(fill))[0].sections[0].text
    assert text == "率: 12.5%; 时: 2025-06-02 09:30; 真: TRUE"


def test_hidden_sheets_are_left_out_and_counted(read: Read) -> None:
    book = openpyxl.Workbook()
    for name in ("看", "不看"):
        book.create_sheet(name).append(("文字", name))
    book["不看"].sheet_state = "hidden"
    out = io.BytesIO()
    book.save(out)
    (document,) = read("a.xlsx", out.getvalue())
    assert [section.heading for section in document.sections] == ["看 › #1"]
    assert document.metadata["sheets_hidden"] == 1.0


def test_a_file_that_says_nothing_about_itself_is_the_same_each_time(read: Read) -> None:
    content = workbook(lambda sheet: sheet.append(("苹果", "梨")))
    bare = with_part(
        content,
        "docProps/core.xml",
        b"<coreProperties xmlns='http://schemas.openxmlformats.org/package/2006/metadata/core-properties'/>",
    )
    assert read("a.xlsx", bare)[0].metadata == {"kind": "xlsx", "pages": 1.0}


def test_a_size_that_a_sheet_only_claims_costs_nothing(read: Read) -> None:
    content = workbook(lambda sheet: sheet.append(("苹果", "梨")))
    sheet = with_sheet(content, b'ref="A1:B1"', b'ref="A1:XFD1048576"')
    assert [section.text for section in read("a.xlsx", sheet)[0].sections] == ["苹果; 梨"]


def with_sheet(content: bytes, old: bytes, new: bytes) -> bytes:
    """The workbook, with its first sheet's XML changed."""
    name = "xl/worksheets/sheet1.xml"
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        xml = archive.read(name)
    changed = re.sub(old, new, xml)
    assert changed != xml
    return with_part(content, name, changed)
