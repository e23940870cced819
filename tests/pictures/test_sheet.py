"""Answers as pages: whole, bounded, with tables that fit and headings that stay with what they head."""

import io

import pytest
from PIL import Image

from tool_server.pictures import sheet
from tool_server.pictures.blocks import Table, blocks_of
from tool_server.pictures.font import Fonts, NoFont, find
from tool_server.pictures.glyphs import Glyphs
from tool_server.pictures.layout import MARGIN, WIDTH, Layout
from tool_server.pictures.sheet import PAGE_PX, Rendered

SENTENCE = "员工每年享有十二天带薪年假，当年没有休完的可以顺延到次年三月。"
TABLE = "| 城市 | 住宿 |\n|---|---|\n| 北京 | 600 |\n| 其他 | 350 |\n"


def render(fonts: Fonts, text: str, *, title: str = "", pages: int = 6) -> Rendered:
    return sheet.render(text, fonts, title=title, pages=pages, characters=20_000)


def ink(page: bytes) -> list[tuple[int, int]]:
    """The rows of a page that are not white, as (first, last) of each stretch."""
    image = Image.open(io.BytesIO(page)).convert("L")
    dark = [
        min(image.crop((0, y, image.width, y + 1)).tobytes()) < 200 for y in range(image.height)
    ]
    edges = [y for y in range(1, len(dark)) if dark[y] != dark[y - 1]]
    return list(zip(edges[::2], edges[1::2], strict=False))


def size(page: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(page)).size


def test_a_short_answer_is_one_page_as_high_as_it_needs(fonts: Fonts) -> None:
    done = render(fonts, f"# 年假\n\n{SENTENCE}")
    (page,) = done.pages
    width, height = size(page)
    assert width == WIDTH
    assert height < 500
    assert not done.truncated
    assert len(ink(page)) == 3  # a heading, two lines


def test_nothing_is_drawn_into_the_margins(fonts: Fonts) -> None:
    (page,) = render(fonts, f"{TABLE}\n> {SENTENCE}\n\n- {SENTENCE}\n\n`{'x' * 300}`").pages
    image = Image.open(io.BytesIO(page)).convert("L")
    for left in (0, WIDTH - MARGIN + 4):
        strip = image.crop((left, 0, left + MARGIN - 4, image.height)).tobytes()
        assert min(strip) > 230


def test_a_long_answer_has_pages_of_bounded_height(fonts: Fonts) -> None:
    done = render(fonts, (SENTENCE + "\n\n") * 60)
    assert 2 < len(done.pages) <= 6
    assert all(size(page)[1] <= PAGE_PX + MARGIN for page in done.pages)
    assert not done.truncated


def test_what_is_too_long_is_cut_and_said_so(fonts: Fonts) -> None:
    done = render(fonts, (SENTENCE + "\n\n") * 60, pages=2)
    assert len(done.pages) == 2
    assert done.truncated
    assert sheet.render("长" * 200, fonts, title="", pages=6, characters=100).truncated


def test_no_page_ends_with_a_heading(fonts: Fonts) -> None:
    layout = Layout(fonts)
    for filling in range(24, 34):
        text = "\n\n".join([*["行"] * filling, "# 标题", SENTENCE])
        rows = list(layout.rows(blocks_of(text)))
        pages = sheet._paged(rows)
        assert all(not page[-1].holds for page in pages)
        assert sum(map(len, pages)) == len(rows)


def test_every_column_of_a_wide_table_has_its_place(fonts: Fonts) -> None:
    columns = 12
    row = "|" + "|".join(f"列 {n}：{'很长的内容' * n} word" for n in range(columns)) + "|\n"
    text = row + "|" + "---|" * columns + "\n" + row * 3
    (block,) = blocks_of(text)
    assert isinstance(block, Table)
    (page, *_) = render(fonts, text).pages
    image = Image.open(io.BytesIO(page)).convert("L")
    assert min(image.crop((WIDTH - MARGIN + 4, 0, WIDTH, image.height)).tobytes()) > 230


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n\n",
        "|a|\n|---|\n",
        "- \n- \n",
        "> " * 50 + "tief",
        "  " * 30 + "- tief",
        "[" * 3000,
        "```\n" + "\t" * 200,
        "a" * 20_000,
        "\u202e\u200b\x00 verborgen",
        "|" + "|" * 200 + "\n|" + "---|" * 200,
        "1. " * 200,
    ],
    ids=range(12),
)
def test_whatever_a_model_writes_becomes_a_picture(fonts: Fonts, text: str) -> None:
    done = render(fonts, text, title="题")
    assert done.pages
    assert all(page.startswith(b"\x89PNG") for page in done.pages)


def test_emoji_that_the_font_lacks_are_left_out_with_their_blank(fonts: Fonts) -> None:
    glyphs = Glyphs(fonts)
    assert glyphs.drawable("✅ 已完成 👍🏽") == "已完成 "
    assert glyphs.drawable("12 °C，±5 %，①②★") == "12 °C，±5 %，①②★"


def test_a_font_that_is_none_is_said_so(tmp_path: object) -> None:
    with pytest.raises(NoFont, match="SHENQIAO_FONT names no file"):
        find(f"{tmp_path}/none.ttf")
