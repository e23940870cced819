"""Where a text may be cut without tearing what a person sees as one character; for `split`.

Unicode's clusters (UAX 29) as far as chats have them: marks and selectors, joined emoji, flags, syllables of Hangul.
"""

import unicodedata

JOINER = "\u200d"
# A cluster is never longer than this; a longer pile of marks is cut like any other text.
LONGEST = 32


def boundary(text: str, at: int) -> int:
    """The last place up to `at` where a cluster ends; `at` itself where there is none near."""
    for place in range(at, max(0, at - LONGEST), -1):
        if _ends(text, place):
            return place
    return at


def _ends(text: str, at: int) -> bool:
    if at in (0, len(text)):
        return True
    before, after = text[at - 1], text[at]
    if before == "\r" and after == "\n":
        return False
    if _extends(after) or before == JOINER:
        return False
    if _is_flag(before) and _is_flag(after):
        return _flags_before(text, at) % 2 == 0
    return not _same_syllable(before, after)


def _extends(character: str) -> bool:
    """Marks, selectors, the joiner, skin tones, and the tags of the flags of regions."""
    return (
        unicodedata.category(character) in ("Mn", "Me", "Mc")
        or character == JOINER
        or "\U0001f3fb" <= character <= "\U0001f3ff"
        or "\U000e0020" <= character <= "\U000e007f"
    )


def _is_flag(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _flags_before(text: str, at: int) -> int:
    count = 0
    while count < at and _is_flag(text[at - 1 - count]):
        count += 1
    return count


def _same_syllable(before: str, after: str) -> bool:
    """Hangul written in parts: vowels and finals stay with what they follow."""
    parts = "\u1160" <= after <= "\u11ff"
    return parts and ("\u1100" <= before <= "\u11ff" or "\uac00" <= before <= "\ud7a3")
