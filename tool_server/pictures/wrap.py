"""Breaking text into lines that fit, in Chinese and English; used by `sheet` and `annotate`.

Chinese breaks between any two characters, but no line begins with a mark that ends something (。，」) and none ends
with one that opens something (「（《). Words of other scripts stay whole; one that is longer than a line is cut.
"""

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tool_server.channel.graphemes import boundary

CLOSING = frozenset(
    "。，、；：？！…—～·）】》〉」』〗〕］｝”’％‰℃°,.;:?!)]}%»›"
    "ー々ゝゞぁぃぅぇぉっゃゅょァィゥェォッャュョ"
)
OPENING = frozenset("（【《〈「『〖〔［｛“‘￥＄([{$«‹")


# A longer word is several: it fills lines anyway, and the time to cut it grows with its square.
ATOM = 200
# How far back a word that must be cut is looked at for a place without marks.
LOOKED_AT = 40


@dataclass(frozen=True)
class Look:
    """How a part of a text is drawn."""

    bold: bool = False
    mono: bool = False
    shaded: bool = False
    link: bool = False
    struck: bool = False


@dataclass(frozen=True)
class Span:
    """Text of one look."""

    text: str
    look: Look = Look()


type Line = list[Span]
# The width in pixels of a text in one look.
type Measure = Callable[[str, Look], float]


def wrap(spans: Sequence[Span], width: float, measure: Measure) -> list[Line]:
    """Lines of at most `width`, without the blanks at their ends; at least one. Line breaks in the text stay."""
    lines: list[Line] = []
    for paragraph in _paragraphs(spans):
        lines += _Filler(width, measure).fill(paragraph)
    return lines


def plain(line: Line) -> str:
    """The text of a line."""
    return "".join(span.text for span in line)


class _Filler:
    """Fills the lines of one paragraph, atom by atom."""

    def __init__(self, width: float, measure: Measure) -> None:
        self._width = width
        self._measure = measure
        self._lines: list[Line] = []
        self._line: Line = []
        self._used = 0.0

    def fill(self, paragraph: Sequence[Span]) -> list[Line]:
        for atom in atoms(paragraph):
            if self._used + self._of(_trimmed(atom)) > self._width and self._line:
                self._break()
            if not self._line:
                atom = _without_indent(atom) if self._lines else atom
            self._add(atom)
        self._break()
        return self._lines

    def _add(self, atom: Line) -> None:
        """One that is longer than a line fills as many as it needs."""
        while self._of(_trimmed(atom)) > self._width:
            head, atom = self._cut(atom)
            self._line = head
            self._break()
        self._line.extend(atom)
        self._used += self._of(atom)

    def _cut(self, atom: Line) -> tuple[Line, Line]:
        """As much as fits a line, at least one character; no cluster is torn, no mark comes to a line's beginning."""
        text = plain(atom)
        low, high = 1, len(text)
        while low < high:  # the longest beginning that fits
            middle = (low + high + 1) // 2
            if self._of(_first(atom, middle)) <= self._width:
                low = middle
            else:
                high = middle - 1
        at = _good_cut(text, boundary(text, low) or low)
        return _first(atom, at), _rest(atom, at)

    def _break(self) -> None:
        self._lines.append(_merged(_trimmed(self._line)))
        self._line, self._used = [], 0.0

    def _of(self, line: Line) -> float:
        return sum(self._measure(span.text, span.look) for span in line)


def _paragraphs(spans: Sequence[Span]) -> Iterator[Line]:
    """Cut at line breaks."""
    paragraph: Line = []
    for span in spans:
        head, *more = span.text.split("\n")
        paragraph.append(Span(head, span.look))
        for text in more:
            yield paragraph
            paragraph = [Span(text, span.look)]
    yield paragraph


def atoms(paragraph: Sequence[Span]) -> Iterator[Line]:
    """The parts of a paragraph that no line break may tear, with the blanks behind them."""
    text = plain(list(paragraph))
    begin = 0
    for at in range(1, len(text) + 1):
        long = at - begin >= ATOM and boundary(text, at) == at
        if long or at == len(text) or _may_break(text, at):
            yield _rest(_first(paragraph, at), begin)
            begin = at


def _may_break(text: str, at: int) -> bool:
    """Whether a line may end before the character `at`."""
    before, after = text[at - 1], text[at]
    if after == " " or after in CLOSING or before in OPENING:
        return False
    if before == " ":
        return True
    return (_is_wide(before) or _is_wide(after)) and boundary(text, at) == at


def _good_cut(text: str, most: int) -> int:
    """The last place up to `most` with a mark on neither wrong side; `most` where there is none near."""
    for at in range(most, max(0, most - LOOKED_AT), -1):
        whole = boundary(text, at) == at
        if whole and text[at : at + 1] not in CLOSING and text[at - 1] not in OPENING:
            return at
    return most


def _is_wide(character: str) -> bool:
    """A Han character, kana, a full-width mark, an emoji: a text may break on either side of it."""
    return unicodedata.east_asian_width(character) in "WF"


def _first(spans: Sequence[Span], length: int) -> Line:
    """The first `length` characters."""
    found: Line = []
    for span in spans:
        if length <= 0:
            break
        found.append(Span(span.text[:length], span.look))
        length -= len(span.text)
    return [span for span in found if span.text]


def _rest(spans: Sequence[Span], begin: int) -> Line:
    """All from the character `begin` on."""
    found: Line = []
    for span in spans:
        found.append(Span(span.text[max(0, begin) :], span.look))
        begin -= len(span.text)
    return [span for span in found if span.text]


def _trimmed(line: Line) -> Line:
    """Without the blanks at its end."""
    found = list(line)
    while found and not (text := found[-1].text.rstrip(" ")):
        found.pop()
    if found:
        found[-1] = Span(text, found[-1].look)
    return found


def _without_indent(line: Line) -> Line:
    """A line that continues a paragraph does not begin with blanks."""
    blanks = len(plain(line)) - len(plain(line).lstrip(" "))
    return _rest(line, blanks)


def _merged(line: Line) -> Line:
    """Neighbours of one look as one span: so they are drawn."""
    found: Line = []
    for span in line:
        if found and found[-1].look == span.look:
            found[-1] = Span(found[-1].text + span.text, span.look)
        else:
            found.append(span)
    return found
