"""Marks drawn over a picture: opened with care, turned as its camera held it, made smaller where it is large."""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageOps

from tool_server.errors import BadRequest
from tool_server.pictures.font import Fonts
from tool_server.pictures.glyphs import Glyphs
from tool_server.pictures.marks import (
    UNITS,
    Arrow,
    Box,
    Caption,
    Mark,
    Point,
    Units,
    check_inside,
)
from tool_server.pictures.wrap import Line, Look, Span, wrap

# What strangers' pictures may be; each has a decoder of its own, and these are well kept.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
LEAST_SIDE = 16
# A PNG that would be larger goes out as JPEG: chats take 10 MB, and Dify's daemon carries it in small parts.
PNG_BYTES = 4 * 1024 * 1024
JPEG_QUALITY = 88
# Parts of the picture's longer side.
STROKE, LETTERS, HEAD = 1 / 300, 1 / 42, 1 / 40
LEAST_LETTERS_PX = 14
LABEL_SHARE = 0.5
# Captions below a picture may be this many times as high as its longer side.
CAPTIONS = 2
LIGHT, DARK = "#ffffff", "#1f2328"


@dataclass(frozen=True)
class Picture:
    """The file that came of it."""

    data: bytes
    mime: str


def annotate(
    data: bytes, marks: Sequence[Mark], units: Units, fonts: Fonts, *, pixels: int, side: int
) -> Picture:
    """The picture with its marks. Raises `BadRequest` with a sentence."""
    picture = _opened(data, pixels)
    width, height = picture.size
    full = (1 / UNITS[units],) * 2 if units in UNITS else (width, height)
    check_inside(marks, *full)
    picture.thumbnail((side, side))
    scale = (picture.width / full[0], picture.height / full[1])
    marked = _Artist(picture, scale, fonts).draw(marks)
    return _saved(marked)


def _opened(data: bytes, pixels: int) -> Image.Image:
    """As people see it; the size is looked at before anything is unpacked."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as found:
            size = found.width * found.height
            if size > pixels:
                raise BadRequest(
                    f"picture: it has {size:,} pixels, {pixels:,} are possible.", param="picture"
                )
            if min(found.size) < LEAST_SIDE:
                raise BadRequest(
                    f"picture: its sides must have {LEAST_SIDE} pixels.", param="picture"
                )
            found.load()
            turned = ImageOps.exif_transpose(found)
            return turned.convert("RGBA" if found.has_transparency_data else "RGB")
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError):
        raise BadRequest(
            f"picture: it is damaged, or none of {', '.join(FORMATS)}.", param="picture"
        ) from None


def _saved(picture: Image.Image) -> Picture:
    out = io.BytesIO()
    if picture.mode == "RGBA":
        picture.save(out, "PNG")
        if out.tell() <= PNG_BYTES:
            return Picture(out.getvalue(), "image/png")
        out = io.BytesIO()
    picture.convert("RGB").save(out, "JPEG", quality=JPEG_QUALITY)
    return Picture(out.getvalue(), "image/jpeg")


class _Artist:
    """Draws marks in order: frames and arrows first, so that no line goes through a text."""

    def __init__(self, picture: Image.Image, scale: Point, fonts: Fonts) -> None:
        self._picture = picture
        self._pen = ImageDraw.Draw(picture)
        self._scale = scale
        self._fonts = fonts
        self._glyphs = Glyphs(fonts)
        longer = max(picture.size)
        self._stroke = max(2, round(longer * STROKE))
        self._size = max(LEAST_LETTERS_PX, round(longer * LETTERS))
        self._head = max(8.0, longer * HEAD)

    def draw(self, marks: Sequence[Mark]) -> Image.Image:
        for mark in marks:
            match mark:
                case Box():
                    self._box(mark)
                case Arrow():
                    self._arrow(mark)
        below = [mark for mark in marks if isinstance(mark, Caption) and mark.at is None]
        for mark in marks:
            if mark.text and mark not in below:
                self._label(mark)
        return self._with_captions(below)

    def _box(self, mark: Box) -> None:
        (x0, y0), (x1, y1) = map(self._place, mark.points)
        corners = (min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
        self._pen.rectangle(corners, None, mark.color, self._stroke)

    def _arrow(self, mark: Arrow) -> None:
        start, tip = self._place(mark.start), self._place(mark.to)
        angle = math.atan2(tip[1] - start[1], tip[0] - start[0])
        length = min(self._head, math.dist(start, tip))
        wings = [_at(tip, angle + turn, length) for turn in (math.pi - 0.45, math.pi + 0.45)]
        shaft = _at(tip, angle + math.pi, length * 0.7)
        self._pen.line((start, shaft), mark.color, self._stroke * 2)
        self._pen.polygon([tip, *wings], mark.color)

    def _label(self, mark: Mark) -> None:
        """A text on the mark's colour, inside the picture; above a frame where there is room."""
        lines = self._lines(mark.text, self._picture.width * LABEL_SHARE)
        width, height = self._extent(lines)
        x, y = self._place(mark.points[0])
        if isinstance(mark, Box):
            left, top = self._place((min(mark.box[0::2]), min(mark.box[1::2])))
            x, y = left, top - height if top >= height else top
        elif isinstance(mark, Arrow):
            tip = self._place(mark.to)
            x -= width if tip[0] > x else 0
            y -= height / 2
        x = min(max(0, x), max(0, self._picture.width - width))
        y = min(max(0, y), max(0, self._picture.height - height))
        self._text(lines, (x, y), mark.color)

    def _with_captions(self, captions: Sequence[Caption]) -> Image.Image:
        """Those without a place, one below the other, under the picture."""
        if not captions:
            return self._picture
        picture = self._picture
        texts = [self._lines(mark.text, picture.width) for mark in captions]
        heights = [self._extent(lines)[1] for lines in texts]
        if sum(heights) > CAPTIONS * max(picture.size):
            raise BadRequest(
                "marks: the captions below need more room than the picture.", param="marks"
            )
        higher = Image.new(picture.mode, (picture.width, picture.height + sum(heights)), LIGHT)
        higher.paste(picture)
        self._picture, self._pen = higher, ImageDraw.Draw(higher)
        y = picture.height
        for mark, lines, height in zip(captions, texts, heights, strict=True):
            self._pen.rectangle((0, y, picture.width, y + height), mark.color)
            self._text(lines, (0, y), mark.color)
            y += height
        return higher

    def _text(self, lines: Sequence[Line], at: Point, ground: str) -> None:
        width, height = self._extent(lines)
        x, y = at
        self._pen.rectangle((x, y, x + width, y + height), ground)
        step = self._step
        for number, line in enumerate(lines):
            place = (x + self._pad, y + self._pad / 2 + number * step)
            self._glyphs.line(self._pen, line, place, self._size, step, _ink(ground))

    def _lines(self, text: str, width: float) -> list[Line]:
        shown = Span(self._glyphs.drawable(text))
        return wrap([shown], max(width - 2 * self._pad, self._size), self._measure)

    def _extent(self, lines: Sequence[Line]) -> tuple[int, int]:
        """Width and height of a label."""
        widest = max(sum(self._measure(span.text, span.look) for span in line) for line in lines)
        return math.ceil(widest) + 2 * self._pad, len(lines) * self._step + self._pad

    def _measure(self, text: str, look: Look) -> float:
        return self._fonts.at(self._size, bold=look.bold).getlength(text)

    @property
    def _step(self) -> int:
        return round(self._size * 1.35)

    @property
    def _pad(self) -> int:
        return max(4, self._size // 3)

    def _place(self, point: Point) -> Point:
        return (point[0] * self._scale[0], point[1] * self._scale[1])


def _at(origin: Point, angle: float, length: float) -> Point:
    return (origin[0] + length * math.cos(angle), origin[1] + length * math.sin(angle))


def _ink(ground: str) -> str:
    """Letters that are read on a colour."""
    red, green, blue = (int(ground[at : at + 2], 16) for at in (1, 3, 5))
    return DARK if 0.299 * red + 0.587 * green + 0.114 * blue > 160 else LIGHT
