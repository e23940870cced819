"""Lines that a page's width has broken are joined to paragraphs: Chinese without a space, English with one; for PDF."""

import re
from collections.abc import Sequence

# A line that reaches this far across the page was broken by its width; a shorter one ends its paragraph.
FULL = 0.8
NARROW = 30  # columns; what is all narrower than this is no running text
END = tuple("。！？；：.!?:;”」")
# What begins like this is no continuation.
BEGIN = re.compile(
    r"\s*(第[零〇一二三四五六七八九十百千\d]+[编章节条]|[一二三四五六七八九十]{1,3}、|[（(][一二三四五六七八九十\d]{1,3}[）)]"
    r"|\d{1,3}[.、．)]|[•●▪■◆○·*–-]\s|(Article|Section|Chapter|Part)\s+[\dIVX])"
)
WIDE = re.compile(r"[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]")
HYPHENATED = re.compile(r"[A-Za-z]-$")


def joined(lines: Sequence[str]) -> list[str]:
    """A page's lines as paragraphs and headings."""
    kept = [line.strip() for line in lines if line.strip()]
    widths = [_width(line) for line in kept]
    widest = sorted(widths)[int(0.9 * len(widths))] if widths else 0
    full = FULL * max(widest, NARROW)
    paragraphs: list[str] = []
    goes_on = False
    for line, width in zip(kept, widths, strict=True):
        if goes_on and not BEGIN.match(line):
            paragraphs[-1] = _join(paragraphs[-1], line)
        else:
            paragraphs.append(line)
        goes_on = HYPHENATED.search(line) is not None or (width >= full and not line.endswith(END))
    return paragraphs


def _width(line: str) -> int:
    """In columns: a Chinese character is as wide as two Latin ones."""
    return len(line) + len(WIDE.findall(line))


def _join(left: str, right: str) -> str:
    if HYPHENATED.search(left) and right[:1].islower():
        return left[:-1] + right
    if WIDE.match(left[-1:]) or WIDE.match(right[:1]):
        return left + right
    return f"{left} {right}"
