"""What one character is when words are compared: its folded form, and its part beside others; used by `folding`."""

import re
import unicodedata
from enum import IntEnum
from functools import cache, lru_cache
from typing import NamedTuple

# Sets of characters, as they stand in a regular expression.
HAN = "\u2e80-\u2fdf\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
BLANK = " \t\xa0\u1680\u2000-\u200a\u202f\u205f\u3000"
# What people put between Han characters to get past a list. No full stop or comma of Chinese: they part sentences.
SEPARATOR = re.escape(".·•・‧∙*-‐‑‒–—_~|/\\+=^`'\"#,")
# Invisible characters (default ignorable, controls), and strokes and frames that are laid over others.
IGNORED = (
    "\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u034f\u061c\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\ufe00-\ufe0f\ufeff\ufff9-\ufffb\U000e0000-\U000e0fff\u0334-\u0338\u20d0-\u20f0"
)
# Scripts without spaces between words, or whose particles follow a word directly: words are found anywhere.
UNSPACED = (
    "\u0e00-\u10ff\u1100-\u11ff\u1780-\u17ff\u2e80-\ua4cf\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\uff66-\uffdc"
    "\U0001b000-\U0001b16f\U00020000-\U0003ffff"
)
# Above lie ideographs and scripts of few readers, whose words are found anywhere too: one table is fast, two are not.
_SPACED_END = 0x10000

_IS_HAN = re.compile(f"[{HAN}]").match
_IS_BLANK = re.compile(f"[{BLANK}]").match
_IS_SEPARATOR = re.compile(f"[{SEPARATOR}]").match
_IS_IGNORED = re.compile(f"[{IGNORED}]").match
_IS_UNSPACED = re.compile(f"[{UNSPACED}]").match


class Role(IntEnum):
    """How a folded character behaves beside its neighbours."""

    OTHER = 0
    WORD = 1  # a letter, digit or mark of a script that sets words apart by spaces
    HAN = 2
    SEPARATOR = 3
    BLANK = 4
    BREAK = 5  # white space that does not separate Han characters: a line break


class Look(NamedTuple):
    """A raw character: what it folds to, with roles; its base; whether it is dropped, or joins what is before it."""

    folded: tuple[tuple[str, Role], ...]
    base: str
    ignored: bool
    joins: bool


@lru_cache(maxsize=1 << 16)
def look(char: str) -> Look:
    """Everything that folding asks of one raw character."""
    folded = fold_segment(char)
    apart = unicodedata.normalize("NFKD", folded)
    base = next((c for c in reversed(apart) if not joins(c)), apart[-1:])
    roles = tuple((c, role_of(c)) for c in folded)
    return Look(roles, base, _IS_IGNORED(char) is not None, bool(apart) and joins(apart[0]))


def fold_segment(text: str) -> str:
    """NFKC without case: of whole texts, or of one character with the marks that belong to it."""
    once = unicodedata.normalize("NFKC", text).casefold()
    return unicodedata.normalize("NFKC", once)


def joins(char: str) -> bool:
    """Whether a decomposed character belongs to the one before it: a mark, a vowel or final of Hangul."""
    return unicodedata.category(char)[0] == "M" or "\u1160" <= char <= "\u11ff"


@lru_cache(maxsize=1 << 16)
def role_of(char: str) -> Role:
    """The role of a folded character."""
    if _IS_HAN(char):
        return Role.HAN
    if _IS_SEPARATOR(char):
        return Role.SEPARATOR
    if char.isspace():
        return Role.BLANK if _IS_BLANK(char) else Role.BREAK
    lettered = char.isalnum() or unicodedata.category(char)[0] == "M"
    spaced = char < chr(_SPACED_END) and not _IS_UNSPACED(char)
    return Role.WORD if lettered and spaced else Role.OTHER


@cache
def words() -> re.Pattern[str]:
    """Runs of characters with the role WORD."""
    ranges: list[list[int]] = []
    for code in range(_SPACED_END):
        if role_of.__wrapped__(chr(code)) is not Role.WORD:
            continue
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    inside = "".join(f"{re.escape(chr(a))}-{re.escape(chr(b))}" for a, b in ranges)
    return re.compile(f"[{inside}]+")
