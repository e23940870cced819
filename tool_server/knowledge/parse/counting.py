"""Numbers that Word makes itself, "第三条" or "2.1" before a paragraph, and that are nowhere in its text; for docx."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from docx.oxml.ns import qn

type Element = Any  # lxml's elements have no types of their own

DIGITS = "零一二三四五六七八九"
LEVELS = 9
PLACE = re.compile(r"%([1-9])")
ROMAN = (
    (100, "c"), (90, "xc"), (50, "l"), (40, "xl"), (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i")
)  # fmt: skip
BULLETS = ("bullet", "none")


@dataclass(frozen=True)
class _Level:
    """How a level is counted and written: "第%1条"."""

    start: int
    form: str
    text: str


@dataclass
class _List:
    """A list's levels, and how far each has counted."""

    levels: dict[int, _Level] = field(default_factory=dict)
    counts: dict[int, int] = field(default_factory=dict)


class Numbers:
    """The lists of one document; asked for each numbered paragraph in its order."""

    def __init__(self, numbering: Element | None) -> None:
        self._lists: dict[str, _List] = {}
        if numbering is None:
            return
        abstract = {
            element.get(qn("w:abstractNumId")): _List(_levels(element))
            for element in numbering.iterchildren(qn("w:abstractNum"))
        }
        for element in numbering.iterchildren(qn("w:num")):
            link = element.find(qn("w:abstractNumId"))
            known = abstract.get(link.get(qn("w:val"))) if link is not None else None
            if known is not None:
                self._lists[str(element.get(qn("w:numId")))] = known

    def next(self, number: str, level: int) -> str:
        """What stands before the next paragraph of this list: "第三条 ", "- " for a bullet, "" for no list."""
        known = self._lists.get(number)
        form = known.levels.get(level) if known else None
        if known is None or form is None:
            return ""
        if form.form in BULLETS:
            return "- "
        known.counts[level] = known.counts.get(level, form.start - 1) + 1
        for deeper in range(level + 1, LEVELS):
            known.counts.pop(deeper, None)
        return PLACE.sub(lambda place: _written(known, int(place[1]) - 1), form.text) + " "


def _levels(abstract: Element) -> dict[int, _Level]:
    levels = {}
    for element in abstract.iterchildren(qn("w:lvl")):
        at = _integer(element.get(qn("w:ilvl")), 0)
        levels[at] = _Level(
            _integer(_value(element, "start"), 1),
            _value(element, "numFmt") or "decimal",
            (_value(element, "lvlText") or "")[:50],
        )
    return levels


def _written(known: _List, level: int) -> str:
    form = known.levels.get(level)
    if form is None:
        return ""
    count = known.counts.get(level, form.start)
    return FORMS.get(form.form, str)(count) if 0 < count < 1000 else str(count)


def chinese(count: int) -> str:
    """一百二十三 of 123, for 1 to 999."""
    hundreds, tens, ones = count // 100, count // 10 % 10, count % 10
    text = f"{DIGITS[hundreds]}百" if hundreds else ""
    if tens:
        text += "十" if count < 20 else f"{DIGITS[tens]}十"
    elif hundreds and ones:
        text += "零"
    return text + (DIGITS[ones] if ones else "")


def _roman(count: int) -> str:
    text = ""
    for value, letters in ROMAN:
        text += letters * (count // value)
        count %= value
    return text


def _letter(count: int) -> str:
    return chr(ord("a") + (count - 1) % 26) * ((count - 1) // 26 + 1)


FORMS: Mapping[str, Callable[[int], str]] = {
    "chineseCounting": chinese,
    "chineseCountingThousand": chinese,
    "japaneseCounting": chinese,
    "ideographDigital": chinese,
    "lowerRoman": _roman,
    "upperRoman": lambda count: _roman(count).upper(),
    "lowerLetter": _letter,
    "upperLetter": lambda count: _letter(count).upper(),
}


def _value(element: Element, name: str) -> str | None:
    child = element.find(qn(f"w:{name}"))
    return None if child is None else child.get(qn("w:val"))


def _integer(text: str | None, default: int) -> int:
    return int(text) if text and text.isdecimal() and len(text) < 6 else default
