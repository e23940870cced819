"""From blocks to rows of a known height that draw themselves; `sheet` puts rows on pages."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from PIL import ImageDraw

from tool_server.pictures.blocks import Block, Code, Place, Rule, Table, Words
from tool_server.pictures.font import Fonts
from tool_server.pictures.glyphs import Glyphs
from tool_server.pictures.wrap import Line, Look, Measure, Span, atoms, wrap

# Pixels of a page as wide as three times a phone's points: sharp there, readable on a desk.
WIDTH = 1080
MARGIN = 64
TEXT_PX = 34
HEADING_PX = {1: 50, 2: 44, 3: 39, 4: 36, 5: 34, 6: 34}
CODE_PX = 28
TABLE_PX = 30
MANY_COLUMNS = 5
LEADING = 1.6
INDENT = 56
QUOTE = 32
CELL = 14
GAP = 22
# Lines of one cell of a table; it must stay on one page.
CELL_LINES = 30

# Of a column in which only words would be counted, Chinese would keep one character.
FEW = "四个汉字"

INK, QUIET = "#1f2328", "#656d76"
LINE, SHADE, HEAD = "#d0d7de", "#f4f6f8", "#e9f2ef"

type Draw = Callable[[ImageDraw.ImageDraw, int], None]


@dataclass(frozen=True)
class Row:
    """Something as high as `height` pixels; `draw` gets its top. `holds`: no page ends with it."""

    height: int
    draw: Draw
    holds: bool = False


class Layout:
    """Lays out blocks with one font."""

    def __init__(self, fonts: Fonts) -> None:
        self._fonts = fonts
        self._glyphs = Glyphs(fonts)

    def rows(self, blocks: Sequence[Block]) -> Iterator[Row]:
        """All rows of a text, with the space between blocks."""
        for before, block in zip((None, *blocks), blocks, strict=False):
            if before is not None:
                yield _space(_gap(before, block))
            yield from self._block(block)

    def _block(self, block: Block) -> Iterator[Row]:
        match block:
            case Words():
                yield from self._words(block)
            case Code():
                yield from self._code(block)
            case Table():
                yield from self._table(block)
            case Rule(place):
                left = _left(place)
                yield Row(GAP, lambda pen, y: pen.line((left, y, WIDTH - MARGIN, y), LINE, 2))

    def _words(self, block: Words) -> Iterator[Row]:
        size = HEADING_PX.get(block.level, TEXT_PX)
        left = _left(block.place)
        lines = wrap(self._drawable(block.spans), WIDTH - MARGIN - left, self._measure(size))
        for number, line in enumerate(lines):
            sign = block.place.sign if number == 0 else ""
            yield self._line(line, size, block.place, sign=sign, holds=block.level > 0)

    def _line(
        self, line: Line, size: int, place: Place, *, sign: str = "", holds: bool = False
    ) -> Row:
        left, height = _left(place), round(size * LEADING)
        ink = QUIET if place.quote else INK

        def draw(pen: ImageDraw.ImageDraw, y: int) -> None:
            _quote_bars(pen, y, height, place)
            if sign:
                self._glyphs.line(pen, [Span(sign)], (left - INDENT + 8, y), size, height, ink)
            self._glyphs.line(pen, line, (left, y), size, height, ink)

        return Row(height, draw, holds)

    def _code(self, block: Code) -> Iterator[Row]:
        left, right = _left(block.place), WIDTH - MARGIN
        height = round(CODE_PX * LEADING)
        spans = self._drawable([Span(block.text, Look(mono=True))])
        lines = wrap(spans, right - left - 2 * CELL, self._measure(CODE_PX))
        pad = CELL

        def row(line: Line) -> Row:
            def draw(pen: ImageDraw.ImageDraw, y: int) -> None:
                _quote_bars(pen, y, height, block.place)
                pen.rectangle((left, y, right, y + height), SHADE)
                self._glyphs.line(pen, line, (left + pad, y), CODE_PX, height, INK)

            return Row(height, draw)

        edge = Row(pad, lambda pen, y: pen.rectangle((left, y, right, y + pad), SHADE))
        yield edge
        yield from map(row, lines)
        yield edge

    def _table(self, table: Table) -> Iterator[Row]:
        columns = max(len(row) for row in table.rows)
        size = TABLE_PX if columns <= MANY_COLUMNS else TABLE_PX * 3 // 4
        measure = self._measure(size)
        cells = [[self._drawable(cell) for cell in row] for row in table.rows]
        left = _left(table.place)
        widths = _widths(cells, columns, WIDTH - MARGIN - left, measure)
        for number, row in enumerate(cells):
            lines = [
                _at_most(wrap(cell, width - 2 * CELL, measure), CELL_LINES)
                for cell, width in zip(row, widths, strict=False)
            ]
            yield self._table_row(lines, widths, left, size, head=number == 0)

    def _table_row(
        self, cells: list[list[Line]], widths: list[int], left: int, size: int, *, head: bool
    ) -> Row:
        step = round(size * 1.45)
        height = max(map(len, cells)) * step + 2 * CELL

        def draw(pen: ImageDraw.ImageDraw, y: int) -> None:
            x = left
            for lines, width in zip(cells, widths, strict=False):
                box = (x, y, x + width, y + height)
                pen.rectangle(box, HEAD if head else None, LINE, 2)
                for number, line in enumerate(lines):
                    at = (x + CELL, y + CELL + number * step)
                    self._glyphs.line(pen, line, at, size, step, INK)
                x += width

        return Row(height, draw, holds=head)

    def _drawable(self, spans: Sequence[Span]) -> list[Span]:
        return [replace(span, text=self._glyphs.drawable(span.text)) for span in spans]

    def _measure(self, size: int) -> Measure:
        """Widths in this size; remembered, as words come again and again."""

        @lru_cache(maxsize=20_000)
        def measure(text: str, look: Look) -> float:
            return self._fonts.at(size, bold=look.bold, mono=look.mono).getlength(text)

        return measure


def _left(place: Place) -> int:
    return MARGIN + place.quote * QUOTE + place.indent * INDENT


def _gap(before: Block, block: Block) -> int:
    """More above a heading, less between the points of a list."""
    if isinstance(block, Words) and block.level > 0:
        return GAP * 3 // 2
    return GAP // 2 if before.place.indent and block.place.indent else GAP


def _space(height: int) -> Row:
    return Row(height, lambda _pen, _y: None, holds=True)


def _quote_bars(pen: ImageDraw.ImageDraw, y: int, height: int, place: Place) -> None:
    for depth in range(place.quote):
        x = MARGIN + depth * QUOTE
        pen.rectangle((x, y, x + 6, y + height), LINE)


def _at_most(lines: list[Line], most: int) -> list[Line]:
    return lines if len(lines) <= most else [*lines[: most - 1], [Span("…")]]


def _widths(
    rows: Sequence[Sequence[Sequence[Span]]], columns: int, room: int, measure: Measure
) -> list[int]:
    """As wide as the widest cells; where that does not fit, what their words need, and the rest in proportion."""
    cells = [[row[at] for row in rows if at < len(row)] for at in range(columns)]
    natural = [max(_natural(cell, measure) for cell in column) for column in cells]
    if sum(natural) <= room:
        return natural
    least = [max(_least(cell, measure) for cell in column) for column in cells]
    least = [min(few, most, room // columns) for few, most in zip(least, natural, strict=True)]
    wished = [most - few for few, most in zip(least, natural, strict=True)]
    share = (room - sum(least)) / max(1, sum(wished))
    return [few + int(more * share) for few, more in zip(least, wished, strict=True)]


def _natural(cell: Sequence[Span], measure: Measure) -> int:
    """The width of a cell without a break."""
    lines = wrap(cell, float("inf"), measure)
    widest = max(sum(measure(span.text, span.look) for span in line) for line in lines)
    return int(widest) + 2 * CELL + 2


def _least(cell: Sequence[Span], measure: Measure) -> int:
    """The width of its longest word, or of some Chinese characters."""
    words = (sum(measure(span.text, span.look) for span in atom) for atom in atoms(cell))
    return int(max(measure(FEW, Look()), *words, 0)) + 2 * CELL + 2
