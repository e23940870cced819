"""Drawing a line of text: its looks, and what the font cannot show; used by `layout` and `annotate`."""

import re
import unicodedata
from functools import cached_property, lru_cache

from PIL import ImageDraw

from tool_server.pictures.font import Fonts
from tool_server.pictures.wrap import Line

LINK, CODE_SHADE = "#0b5cad", "#eceff2"
PROBE_PX = 24
# A code point that is never a character: what a font shows for it, it shows for all that it lacks.
NOTHING = "\U0010ffff"
# Emoji and joiners that the font lacks are left out; letters of other scripts become its box, so that people see it.
LEFT_OUT = ("So", "Sk", "Cf", "Cn", "Co", "Mn", "Me")
PLAIN = re.compile(r"[\x20-\x7e\n]*")


class Glyphs:
    """One font's signs."""

    def __init__(self, fonts: Fonts) -> None:
        self._fonts = fonts
        self._lacks = lru_cache(maxsize=20_000)(self._find_lack)

    def drawable(self, text: str) -> str:
        """Without emoji and the like that the font has no sign for."""
        if PLAIN.fullmatch(text):
            return text
        shown: list[str] = []
        gap = False  # behind something that was left out: its blank goes, too
        for character in text.replace("\t", "    "):
            lacks = unicodedata.category(character) in LEFT_OUT and self._lacks(character)
            if not lacks and not (gap and character == " "):
                shown.append(character)
            gap = lacks
        return "".join(shown)

    def line(
        self,
        pen: ImageDraw.ImageDraw,
        line: Line,
        at: tuple[float, float],
        size: int,
        height: int,
        ink: str,
    ) -> None:
        """Draw a line whose box of `height` begins at `at`."""
        x, y = at
        ascent, descent = self._fonts.at(size).getmetrics()
        base = y + (height - ascent - descent) / 2 + ascent
        for span in line:
            look = span.look
            font = self._fonts.at(size, bold=look.bold, mono=look.mono)
            width = font.getlength(span.text)
            if look.shaded:
                box = (x - 3, base - size, x + width + 3, base + size * 0.28)
                pen.rounded_rectangle(box, 6, CODE_SHADE)
            stroke = 1 if look.bold and not self._fonts.has_bold else 0
            fill = LINK if look.link else ink
            pen.text((x, base), span.text, fill, font, anchor="ls", stroke_width=stroke)
            if look.struck or look.link:
                line_y = base - size * 0.32 if look.struck else base + size * 0.16
                pen.line((x, line_y, x + width, line_y), fill, 2)
            x += width

    def _find_lack(self, character: str) -> bool:
        return self._shape(character) == self._nothing

    def _shape(self, character: str) -> bytes:
        mask = self._fonts.at(PROBE_PX).getmask(character)
        return bytes(mask)

    @cached_property
    def _nothing(self) -> bytes:
        return self._shape(NOTHING)
