"""A metadata value in the forms that conditions compare; for `filters`, and for every index that stores values."""

import math
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from tool_server.knowledge.document import Value

NAME_CHARACTERS = 100
EXACT = 1e15  # up to here each whole number is a float of its own


@dataclass(frozen=True)
class Stored:
    """A metadata value in the forms that conditions compare: how every index has to store it."""

    text: str
    folded: str
    number: float | None
    time: float | None  # seconds since 1970

    @classmethod
    def of(cls, value: Value) -> "Stored":
        return cls(text_of(value), fold(value), number(value), moment(value))


def stored(metadata: Mapping[str, Value]) -> dict[str, Stored]:
    """A document's values by key; a key that is too long is cut, and of two that then are one the first counts."""
    found: dict[str, Stored] = {}
    for name, value in metadata.items():
        found.setdefault(name[:NAME_CHARACTERS], Stored.of(value))
    return found


def fold(value: Value) -> str:
    """A text as it is searched in: NFKC, without case, without blanks around it."""
    folded = unicodedata.normalize("NFKC", text_of(value)).casefold()
    return folded.replace("\x00", " ").strip()  # SQLite's functions end at a zero


def text_of(value: Value) -> str:
    """A number without a useless ".0": 5.0 and 5 are the same text."""
    return str(_shown(value))


def shown(metadata: Mapping[str, Value]) -> dict[str, Value]:
    """As people wrote it: 2026, not 2026.0."""
    return {name: _shown(value) for name, value in metadata.items()}


def _shown(value: Value) -> Value:
    whole = isinstance(value, float) and value.is_integer() and abs(value) < EXACT
    return int(value) if whole else value


def number(value: object) -> float | None:
    """A metadata value as a number, where it is one: "5" and 5 compare alike."""
    try:
        found = float(str(value))
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def moment(value: object) -> float | None:
    """A metadata value as seconds since 1970, where it is a time in RFC 3339 or a date; without a zone it is UTC."""
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def is_text(text: str) -> bool:
    """Whether it can be stored: JSON can hold half of a surrogate pair, a database cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
