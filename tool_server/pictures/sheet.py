"""An answer as pages of a picture: rows from `layout` on white pages, as many as they need up to a bound."""

import io
from collections.abc import Iterable
from dataclasses import dataclass

from PIL import Image, ImageDraw

from tool_server.pictures.blocks import blocks_of
from tool_server.pictures.font import Fonts
from tool_server.pictures.layout import MARGIN, QUIET, WIDTH, Layout, Row

# Three screens of a phone: longer pictures are made small by chats.
PAGE_PX = 2400
FOOT_PX = 26
PAPER = "#ffffff"
# Text in few colours: a page is a third of the size, and no eye sees it.
COLOURS = 64


@dataclass(frozen=True)
class Rendered:
    """Pages as PNG, and whether the text went on."""

    pages: list[bytes]
    truncated: bool


def render(text: str, fonts: Fonts, *, title: str, pages: int, characters: int) -> Rendered:
    """Draw markdown on at most `pages` pages; `title` stands above the first."""
    cut = len(text) > characters
    heading = f"# {' '.join(title.split())}\n\n" if title.strip() else ""
    layout = Layout(fonts)
    sheets = _paged(layout.rows(blocks_of(heading + text[:characters])))
    kept = sheets[:pages]
    drawn = [_page(rows, fonts, number, len(kept)) for number, rows in enumerate(kept, start=1)]
    return Rendered(drawn, cut or len(sheets) > pages)


def _paged(rows: Iterable[Row]) -> list[list[Row]]:
    """Rows by page. What holds the next row goes on with it, unless it began the page."""
    room = PAGE_PX - 2 * MARGIN
    pages: list[list[Row]] = [[]]
    used = 0
    for row in rows:
        if used + row.height > room and pages[-1]:
            held = _held(pages[-1])
            pages.append(held)
            used = sum(held_row.height for held_row in held)
        pages[-1].append(row)
        used += row.height
    return pages


def _held(page: list[Row]) -> list[Row]:
    """Take the last rows that hold the next one off a page, if more is left on it."""
    at = len(page)
    while at and page[at - 1].holds:
        at -= 1
    if at == 0:
        return []
    held = page[at:]
    del page[at:]
    return held


def _page(rows: list[Row], fonts: Fonts, number: int, count: int) -> bytes:
    foot = MARGIN if count > 1 else 0
    height = sum(row.height for row in rows) + 2 * MARGIN + foot
    image = Image.new("RGB", (WIDTH, height), PAPER)
    pen = ImageDraw.Draw(image)
    y = MARGIN
    for row in rows:
        row.draw(pen, y)
        y += row.height
    if count > 1:
        font = fonts.at(FOOT_PX)
        pen.text((WIDTH // 2, height - MARGIN), f"{number} / {count}", QUIET, font, anchor="ms")
    return _png(image)


def _png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.quantize(COLOURS, dither=Image.Dither.NONE).save(out, "PNG")
    return out.getvalue()
