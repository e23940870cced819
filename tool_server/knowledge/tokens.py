"""From text to the tokens that every index of ours holds: the same ones for passages and questions.

NFKC, lower case; Han characters alone and in pairs; other words whole, English ones stemmed. For `index` and `search`.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import cache, lru_cache

from snowballstemmer import stemmer

# Longer tokens are cut: Elasticsearch's whitespace analyser would cut them at 255, at another place.
TOKEN_LIMIT = 64
SHORTEST_STEMMED = 3
STEMS = 50_000  # words whose stems are remembered; stemming is the slowest part of a search
HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
PART = re.compile(rf"([{HAN}]+)|([^\W_{HAN}]+)")
CHARACTER = re.compile(rf"[{HAN}]")
LATIN = re.compile(r"[a-z]+")
STOP = frozenset(
    """a an and are as at be but by for from had has have how i if in into is it its me my no not of on or our so
    that the their them then there these they this to was we were what when where which who will with you your
    do does can could may many much get""".split()  # noqa: SIM905  (words in a row read better)
)
# Characters of question and grammar; a pair with one of them says nothing about the subject.
EMPTY_HAN = frozenset(
    "的了吗呢吧啊是有在我你您他她它们这那个么什怎样如何哪几多少请问可以能会要想把被和与及或就都也还很不没"
    "公司规定说给对为从到让"
)


def tokenize(text: str) -> list[str]:
    """All tokens in the order of the text, repeated ones too."""
    return list(_tokens(text))


def distinct(text: str, limit: int) -> list[str]:
    """Each token once, in order, at most `limit`."""
    return list(dict.fromkeys(_tokens(text)))[:limit]


def telling(tokens: list[str]) -> list[str]:
    """The tokens that say what a question is about: without those of grammar and of asking, unless it has no others."""
    return [token for token in tokens if not EMPTY_HAN.intersection(token)] or tokens


def is_character(token: str) -> bool:
    """Whether the token is a Han character alone."""
    return len(token) == 1 and CHARACTER.fullmatch(token) is not None


def _tokens(text: str) -> Iterator[str]:
    plain = unicodedata.normalize("NFKC", text)
    for match in PART.finditer(plain):
        if match[1]:
            yield from _han(match[1])
        elif (word := _word(match[2], plain[match.end() : match.end() + 1])) is not None:
            yield word


def _han(run: str) -> Iterator[str]:
    for at, character in enumerate(run):
        yield character
        if at + 1 < len(run):
            yield run[at : at + 2]


def _word(written: str, following: str) -> str | None:
    """None for a stop word; "IT" is none in capitals, and in front of a Han character ("it部门") none either."""
    word = written.lower()
    if word in STOP and not (len(word) > 1 and written.isupper()) and not is_character(following):
        return None
    if LATIN.fullmatch(word) and len(word) >= SHORTEST_STEMMED:
        word = _stem(word)
    return word[:TOKEN_LIMIT] or None


@cache
def _stemmer() -> "stemmer":
    return stemmer("porter")


@lru_cache(STEMS)
def _stem(word: str) -> str:
    return str(_stemmer().stemWord(word))
