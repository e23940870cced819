"""Headings of texts without marks for them: 编/章/节/条, 一、（一）1. 1.1, "Article 5"; used for text, PDF and Word.

A numbered line may as well be part of a list or of a sentence. So a pattern counts only where its numbers begin at the
beginning and go up in small steps over the whole text, and where there is text between them.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tool_server.knowledge.document import Section
from tool_server.knowledge.parse.outline import Outline

type Line = tuple[str, int | None]  # and its page

DIGITS = {digit: value for value, digit in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
UNITS = {"十": 10, "百": 100, "千": 1000}
ROMAN = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}
NUMBER = r"([零〇一二三四五六七八九十百千两\d]{1,9})"
END = r"(?=[\s\u3000:：、.．]|$)"
# A heading of its own line is short and no sentence; an article's line is both.
HEADING_CHARACTERS = 40
SENTENCE_END = tuple("。；;，,！!？?")
# A text leaves out a number here and there ("Article 12 is repealed").
STEP = 3
ARTICLE = "article"


@dataclass(frozen=True)
class Family:
    """One way of numbering. An article's own text begins in the line of its number; of others the line is the heading.

    `kept`: the line stays in the text as well, since it may be an item of a list after all.
    """

    name: str
    level: int
    pattern: re.Pattern[str]
    article: bool = False
    kept: bool = False


def _chinese(sign: str, level: int) -> Family:
    inserted = "(?:之[一二三四五六七八九十]{1,3})?"
    pattern = re.compile(f"第{NUMBER}{sign}{inserted}{END}")
    return Family(sign, level, pattern, article=sign == "条")


def _english(word: str, level: int, *, article: bool = False) -> Family:
    pattern = re.compile(rf"(?:{word}|{word.upper()})\s+(\d{{1,4}}|[IVXLC]{{1,8}}){END}")
    return Family(word, level, pattern, article)


FAMILIES = (
    _chinese("编", 1),
    _english("Part", 1),
    _chinese("章", 2),
    _english("Chapter", 2),
    _chinese("节", 3),
    _english("Section", 3, article=True),
    _chinese("条", 4),
    _english("Article", 4, article=True),
    Family("一、", 5, re.compile(r"([一二三四五六七八九十]{1,3})、")),
    Family("（一）", 6, re.compile(r"[（(]([一二三四五六七八九十]{1,3})[）)]")),
    Family("1.", 7, re.compile(r"(\d{1,2})(?:[.．、]|\s)(?!\d)"), kept=True),
    Family("1.1", 8, re.compile(r"\d{1,2}\.(\d{1,2})(?![.\d])")),
    Family("1.1.1", 9, re.compile(r"\d{1,2}\.\d{1,2}\.(\d{1,2})(?![.\d])")),
)


@dataclass(frozen=True)
class _Mark:
    """A line that looks like a heading."""

    line: int
    family: Family
    number: int
    label: str


def numbered(lines: Sequence[Line]) -> list[Section]:
    """Sections of these lines, each with the page it is on; none where the text is not made of numbered headings."""
    following = _following(lines)
    marks = _consistent(list(_marks(lines)), following)
    if len(marks) < 2:  # one heading orders nothing
        return []
    outline = Outline()
    for number, (line, page) in enumerate(lines):
        mark = marks.get(number)
        if mark is None:
            outline.line(line, page)
            continue
        family = mark.family
        outline.heading(family.level, mark.label if family.article else line, page)
        if family.article or (family.kept and following[number] not in marks):
            outline.line(line.strip(), page)
    return outline.sections()


def _following(lines: Sequence[Line]) -> list[int]:
    """For each line the next one that is not empty; behind the last, where there is none."""
    following, after = [0] * len(lines), len(lines)
    for number in range(len(lines) - 1, -1, -1):
        following[number] = after
        after = number if lines[number][0].strip() else after
    return following


def _marks(lines: Sequence[Line]) -> Iterator[_Mark]:
    for number, (line, _) in enumerate(lines):
        text = line.strip()
        for family in FAMILIES:
            match = family.pattern.match(text)
            if match and (family.article or _is_heading(text)):
                yield _Mark(number, family, value_of(match[1]), match[0])
                break


def _is_heading(text: str) -> bool:
    return len(text) <= HEADING_CHARACTERS and not text.endswith(SENTENCE_END)


def _consistent(marks: Sequence[_Mark], following: Sequence[int]) -> dict[int, _Mark]:
    """The marks of the families that go up in order, by their lines."""
    kept: dict[int, _Mark] = {}
    last: dict[str, int] = {}
    for mark in marks:
        before = last.get(mark.family.name, 0)
        if mark.number == 1 or 0 < before <= mark.number <= before + STEP:
            last[mark.family.name] = mark.number
            for family in FAMILIES:  # what lies below begins anew, but articles are counted through
                if family.level > mark.family.level and not family.article:
                    last.pop(family.name, None)
            kept[mark.line] = mark
    for family in FAMILIES:
        own = [mark for mark in kept.values() if mark.family is family]
        if own and not _orders(own, kept, following):
            for mark in own:
                del kept[mark.line]
    return kept


def _orders(own: Sequence[_Mark], kept: dict[int, _Mark], following: Sequence[int]) -> bool:
    """Whether these lines are headings and no list: half of them at least have text of their own, or headings below."""
    if max(mark.number for mark in own) < 2 and not _has_deeper(own[0], kept):
        return False
    if own[0].family.article:
        return True
    bodies = 0
    for mark in own:
        below = kept.get(following[mark.line])
        at_end = following[mark.line] == len(following)
        bodies += not at_end and (below is None or below.family.level > mark.family.level)
    return 2 * bodies >= len(own)


def _has_deeper(mark: _Mark, kept: dict[int, _Mark]) -> bool:
    return any(other.family.level > mark.family.level for other in kept.values())


def value_of(number: str) -> int:
    """12 of "十二", "12" and "XII"."""
    if number.isdigit():
        return int(number)
    if number[0] in ROMAN:
        values = [ROMAN[letter] for letter in number]
        pairs = zip(values, [*values[1:], 0], strict=True)
        return sum(-value if value < following else value for value, following in pairs)
    total = digit = 0
    for character in number:
        if character in UNITS:
            total += (digit or 1) * UNITS[character]
            digit = 0
        else:
            digit = DIGITS[character] if character in DIGITS else int(character)
    return total + digit
