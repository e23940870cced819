"""Cutting an answer into pieces of at most N bytes, at a sentence's end where possible; called by `answer`.

A block of code that is cut is closed, and opened again with its language; links are never cut.
"""

import re
from dataclasses import dataclass

from tool_server.channel.graphemes import boundary
from tool_server.channel.links import SCHEME, TAIL

# Good places to cut, best first: paragraph, line, sentence, clause, word.
BREAKS = (
    re.compile(r"\n\n"),
    re.compile(r"\n"),
    re.compile(r"[。！？!?…；;]+[”’」』）)\"]*|\.(?=\s)"),
    re.compile(r"[，,、：:]"),
    re.compile(r"\s"),
)
# A cut this early would make pieces too small; then the next kind of place is tried.
LEAST_SHARE = 0.5
# What loses its meaning in two parts: links in each markup, addresses, code in a line.
WHOLE = re.compile(
    r"<a [^>\n]{0,1200}>[^<\n]{0,600}</a>"
    r"|!?\[[^\[\]\n]{0,600}\]\([^()\n]{0,1200}\)"
    rf"|{SCHEME}://{TAIL}{{1,1200}}"
    r"|`[^`\n]{1,200}`",
    re.IGNORECASE,
)
FENCE = re.compile(r"^[ >]*(`{3,}|~{3,})([^`\n]*)$", re.MULTILINE)


@dataclass(frozen=True)
class Fence:
    """A block of code that is open somewhere: its first line and the line that would close it."""

    opening: str
    closing: str

    @property
    def bytes(self) -> int:
        return len(f"{self.opening}\n\n{self.closing}".encode())


def split(text: str, limit: int) -> list[str]:
    """Pieces of at most `limit` bytes of UTF-8, none empty; together they hold all but the space around cuts."""
    pieces: list[str] = []
    rest = text.strip()
    while rest:
        piece, rest = first_piece(rest, limit)
        pieces.append(piece)
    return [piece for piece in pieces if piece]


def first_piece(text: str, limit: int) -> tuple[str, str]:
    """The beginning of a text, whole in itself, and the rest of it, whole in itself too."""
    if len(text.encode()) <= limit:
        return text, ""
    cut = _best_cut(text, fit(text, limit))
    fence = open_fence(text[:cut])
    if fence is None:
        return text[:cut].rstrip(), text[cut:].strip()
    room = limit - len(f"\n{fence.closing}".encode())
    cut = _best_cut(text, fit(text, room)) if room > fence.bytes else 0
    inside = open_fence(text[:cut])
    head = text[:cut].rstrip()
    if inside is None:  # the shorter piece ends before the block
        return (head, text[cut:].strip()) if head else _torn(text, limit)
    if head == inside.opening or len(head.encode()) < fence.bytes // 2:
        return _torn(text, limit)
    rest = text[cut:].removeprefix("\n").rstrip()
    line, _, below = rest.partition("\n")
    if line.rstrip() == inside.closing:
        return f"{head}\n{inside.closing}", below.strip()
    return f"{head}\n{inside.closing}", f"{inside.opening}\n{rest}"


def fit(text: str, limit: int) -> str:
    """The longest beginning of `text` that has at most `limit` bytes, never half a character."""
    whole = text.encode()[:limit].decode(errors="ignore")
    return text[: boundary(text, len(whole)) or len(whole)]


def open_fence(text: str) -> Fence | None:
    """The block of code that is open at the end of a text."""
    fence = None
    for line in FENCE.finditer(text):
        marks, info = line[1], line[2].strip()
        if fence is None:
            before = line[0][: line.start(1) - line.start()]
            fence = Fence(line[0].rstrip(), before + marks)
        elif not info and marks.startswith(fence.closing.strip(" >")):
            fence = None
    return fence


def _torn(text: str, limit: int) -> tuple[str, str]:
    """A limit that leaves no room for fences: cut like text."""
    head = fit(text, limit)
    return head.rstrip(), text[len(head) :].strip()


def _best_cut(text: str, head: str) -> int:
    """How much of `head`, a beginning of `text`, makes a good piece."""
    whole = [found.span() for found in WHOLE.finditer(text, 0, len(head) + 2048)]
    for pattern in BREAKS:
        ends = (match.end() for match in pattern.finditer(head))
        good = [end for end in ends if not _inside(end, whole)]
        if good and good[-1] >= len(head) * LEAST_SHARE:
            return good[-1]
    start = _inside(len(head), whole)
    return start or len(head)


def _inside(at: int, whole: list[tuple[int, int]]) -> int:
    """Where the thing begins that a cut here would tear; 0 where it tears none."""
    return next((start for start, end in whole if start < at < end), 0)
