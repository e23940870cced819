"""Word: headings by style, lists, tables, text boxes, what is left out."""

from docx.document import Document as Word
from docx.enum.style import WD_STYLE_TYPE
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls

from tests.knowledge.parse.conftest import Read
from tests.knowledge.parse.files import word


def test_headings_are_the_path_and_the_title_is_the_documents(read: Read) -> None:
    def fill(document: Word) -> None:
        document.add_heading("员工手册", 0)
        document.add_heading("假期", 1)
        document.add_heading("年假", 2)
        document.add_paragraph("十二天。")
        document.add_heading("停车", 1)
        document.add_paragraph("每月一百二十元。")

    (document,) = read("a.docx", word(fill))
    assert document.title == "员工手册"
    assert [(section.heading, section.text) for section in document.sections] == [
        ("假期 › 年假", "十二天。"),
        ("停车", "每月一百二十元。"),
    ]


def test_chinese_styles_and_those_based_on_them_are_headings(read: Read) -> None:
    def fill(document: Word) -> None:
        chinese = document.styles.add_style("标题 1", WD_STYLE_TYPE.PARAGRAPH)
        own = document.styles.add_style("公司标题", WD_STYLE_TYPE.PARAGRAPH)
        own.base_style = chinese
        document.add_paragraph("假期", "标题 1")
        document.add_paragraph("十二天。")
        document.add_paragraph("停车", "公司标题")
        document.add_paragraph("一百二十元。")

    (document,) = read("a.docx", word(fill))
    assert [section.heading for section in document.sections] == ["假期", "停车"]


def test_a_table_is_read_row_by_row_with_the_names_of_its_columns(read: Read) -> None:
    def fill(document: Word) -> None:
        document.add_paragraph("价格如下：")
        table = document.add_table(3, 3)
        for row, cells in enumerate(
            (("名称", "产地", "价格"), ("苹果", "山东", "5"), ("", "陕西", "6"))
        ):
            for column, text in enumerate(cells):
                table.cell(row, column).text = text
        table.cell(1, 0).merge(table.cell(2, 0))

    (document,) = read("a.docx", word(fill))
    assert document.sections[0].text == (
        "价格如下：\n\n名称: 苹果; 产地: 山东; 价格: 5\n名称: 苹果; 产地: 陕西; 价格: 6"
    )


def test_lists_have_marks_and_headers_are_left_out(read: Read) -> None:
    def fill(document: Word) -> None:
        document.sections[0].header.paragraphs[0].text = "机密"
        document.sections[0].footer.paragraphs[0].text = "第 1 页"
        document.add_paragraph("苹果", "List Bullet")
        document.add_paragraph("梨", "List Bullet")

    assert read("a.docx", word(fill))[0].sections[0].text == "- 苹果\n- 梨"


def test_a_text_box_is_read_once(read: Read) -> None:
    box = (
        f"<w:r {nsdecls('w')} xmlns:mc='http://schemas.openxmlformats.org/markup-compatibility/2006'>"
        "<mc:AlternateContent><mc:Choice Requires='wps'><w:txbxContent><w:p><w:r><w:t>框内</w:t></w:r></w:p>"
        "</w:txbxContent></mc:Choice><mc:Fallback><w:txbxContent><w:p><w:r><w:t>框内</w:t></w:r></w:p>"
        "</w:txbxContent></mc:Fallback></mc:AlternateContent></w:r>"
    )

    def fill(document: Word) -> None:
        document.add_paragraph("框外")._p.append(parse_xml(box))

    assert read("a.docx", word(fill))[0].sections[0].text == "框外\n\n框内"


def test_articles_without_styles_are_sections(read: Read) -> None:
    def fill(document: Word) -> None:
        for text in ("第一条 员工有年假。", "年假十二天。", "第二条 员工有病假。"):
            document.add_paragraph(text)

    (document,) = read("a.docx", word(fill))
    assert [section.heading for section in document.sections] == ["第一条", "第二条"]


def test_numbers_that_word_makes_itself_are_part_of_the_text(read: Read) -> None:
    """ "第%1条" is what nearly every Chinese contract is numbered with."""
    numbering = (
        f"<w:abstractNum {nsdecls('w')} w:abstractNumId='90'><w:lvl w:ilvl='0'><w:start w:val='1'/>"
        "<w:numFmt w:val='chineseCounting'/><w:lvlText w:val='第%1条'/></w:lvl></w:abstractNum>"
    )

    def fill(document: Word) -> None:
        part = document.part.numbering_part.element
        part.insert(0, parse_xml(numbering))
        part.append(
            parse_xml(f"<w:num {nsdecls('w')} w:numId='90'><w:abstractNumId w:val='90'/></w:num>")
        )
        for text in ("员工有年假。", "员工有病假。"):
            properties = document.add_paragraph(text)._p.get_or_add_pPr()
            properties.get_or_add_numPr().get_or_add_numId().val = 90

    (document,) = read("a.docx", word(fill))
    assert [(section.heading, section.text) for section in document.sections] == [
        ("第一条", "第一条 员工有年假。"),
        ("第二条", "第二条 员工有病假。"),
    ]
