"""PowerPoint: a section a slide."""

from pptx.presentation import Presentation as Show
from pptx.util import Inches

from tests.knowledge.parse.conftest import Read
from tests.knowledge.parse.files import show


def test_a_slide_is_a_section_with_title_table_group_and_notes(read: Read) -> None:
    def fill(presentation: Show) -> None:
        slide = presentation.slides.add_slide(presentation.slide_layouts[1])
        slide.shapes.title.text_frame.text = "年假"
        slide.placeholders[1].text_frame.text = "十二天。\n提前申请。"
        table = slide.shapes.add_table(2, 2, Inches(1), Inches(1), Inches(3), Inches(1)).table
        for at, text in enumerate(("级别", "天数", "经理", "15")):
            table.cell(at // 2, at % 2).text = text
        group = slide.shapes.add_group_shape()
        group.shapes.add_textbox(0, 0, Inches(1), Inches(1)).text_frame.text = "组内"
        slide.notes_slide.notes_text_frame.text = "提醒大家。"
        presentation.slides.add_slide(
            presentation.slide_layouts[5]
        ).shapes.title.text_frame.text = "谢谢"

    (document,) = read("a.pptx", show(fill))
    assert [(section.page, section.heading, section.text) for section in document.sections] == [
        (1, "年假", "十二天。\n提前申请。\n\n级别: 经理; 天数: 15\n\n组内\n\n提醒大家。"),
        (2, "谢谢", "谢谢"),
    ]
    assert document.metadata["pages"] == 2.0
