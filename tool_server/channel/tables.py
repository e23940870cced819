"""Tables where a surface has none: aligned columns if they fit a phone, else a line for each value; for `markup`."""

import unicodedata
from collections.abc import Sequence

# Columns of a phone's bubble, where a Han character takes two.
PHONE_COLUMNS = 34
BETWEEN = " │ "
# A cell without text keeps its place.
NOTHING = "–"

type Rows = Sequence[Sequence[str]]


def table(head: Sequence[str], rows: Rows) -> str:
    """The table as text; cells are single lines."""
    widths = [max(map(width, column)) for column in zip(*[head, *rows], strict=True)]
    if sum(widths) + len(BETWEEN) * (len(widths) - 1) <= PHONE_COLUMNS:
        return "\n".join(_aligned(row, widths) for row in (head, *rows))
    return "\n\n".join(listed for row in rows if (listed := _listed(head, row))) or BETWEEN.join(
        name or NOTHING for name in head
    )


def width(text: str) -> int:
    """Columns that a text takes."""
    return sum(_columns(character) for character in text)


def _columns(character: str) -> int:
    if unicodedata.combining(character) or character in "\u200d\ufe0e\ufe0f":
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [cell or NOTHING for cell in row]
    padded = (cell + " " * (wide - width(cell)) for cell, wide in zip(cells, widths, strict=True))
    return BETWEEN.join(padded).rstrip()


def _listed(head: Sequence[str], row: Sequence[str]) -> str:
    """`label: value` lines of one row; a column without a name has its value alone."""
    pairs = [(name, cell) for name, cell in zip(head, row, strict=True) if cell]
    return "\n".join(f"{name}{_colon(name)}{cell}" if name else cell for name, cell in pairs)


def _colon(name: str) -> str:
    return "：" if width(name) > len(name) else ": "
