"""Tables to text, a row a line: "column: value; column: value", so that each row says what it means."""

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence

from tool_server.knowledge.document import Section
from tool_server.knowledge.parse.file import one_line
from tool_server.knowledge.parse.limits import Limits
from tool_server.knowledge.parse.outline import SEPARATOR
from tool_server.knowledge.parse.unreadable import Unreadable

type Row = tuple[int, Sequence[str]]  # its number, from 1, and its cells

NUMBERLIKE = re.compile(r"[\s\d.,:%¥￥$€/+-]+")
NAME_CHARACTERS = 60
# A table begins with a title, a note, an empty row; further down nobody looks for its header.
HEADER_REACH = 10


class Counter:
    """Counts the rows of a whole file."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._rows = 0

    def take(self, cells: Sequence[str]) -> None:
        """Raises `Unreadable` beyond the limits."""
        self._rows += 1
        if self._rows > self._limits.table_rows:
            raise Unreadable(f"it has more than {self._limits.table_rows} rows")
        if len(cells) > self._limits.table_columns:
            raise Unreadable(f"a row has more than {self._limits.table_columns} columns")


def row_sections(
    rows: Iterable[Row], counter: Counter, heading: str = "", page: int | None = None
) -> Iterator[Section]:
    """A section for each row of a sheet or CSV file, under its number ("价格 › #5"), and one for what is above."""
    source = _counted(rows, counter)
    top = [row for _, row in zip(range(HEADER_REACH), source, strict=False)]
    cells = [row[1] for row in top]
    at = next((n for n in range(len(cells)) if is_header(cells[n], cells[n + 1 :])), -1)
    header: Sequence[str] = cells[at] if at >= 0 else ()
    above = cells[: max(at, 0)]
    if above and _spans(above[-1]):
        header = _joined(above.pop(), header)
    if above:
        yield Section(
            heading, "\n".join(" ".join(dict.fromkeys(filter(None, row))) for row in above), page
        )
    for row in itertools.chain(top[at + 1 :], source):
        yield _section(row, header, heading, page)


def _spans(cells: Sequence[str]) -> bool:
    """Whether a row's names stand above several columns each, and are more than a title over all of them."""
    names = [cell for cell in cells if cell]
    return 1 < len(set(names)) < len(names)


def _joined(upper: Sequence[str], lower: Sequence[str]) -> list[str]:
    """The names of a header in two rows: "Sales Q1", "Sales Q2"."""
    padded = [*upper, *[""] * (len(lower) - len(upper))]
    return [
        name if above in ("", name) else f"{above} {name}".strip()
        for above, name in zip(padded, lower, strict=False)
    ]


def table_text(rows: Sequence[Sequence[str]], counter: Counter) -> str:
    """A table within a text: its rows, one a line, without the header's."""
    whole = [row for _, row in _counted(enumerate(rows, start=1), counter)]
    if whole and is_header(whole[0], whole[1:]):
        return "\n".join(row_text(row, whole[0]) for row in whole[1:])
    return "\n".join(row_text(row, ()) for row in whole)


def row_text(cells: Sequence[str], header: Sequence[str]) -> str:
    """One row in one line; a column without a name gives its value alone."""
    parts = []
    for number, cell in enumerate(cells):
        name = header[number] if number < len(header) else ""
        if cell:
            parts.append(f"{name}: {cell}" if name else cell)
    return "; ".join(parts)


def is_header(cells: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """Whether a row names columns: short words, all different, one for nearly every column of the rows below."""
    names = [cell for cell in cells if cell]
    if len(names) < 2 or not below or len(set(names)) < len(names):
        return False
    if any(len(name) > NAME_CHARACTERS or NUMBERLIKE.fullmatch(name) for name in names):
        return False
    width = max(len(row) for row in below)
    return len(names) >= min(width, len(cells)) - 1 and len(names) * 2 > width


def _counted(rows: Iterable[Row], counter: Counter) -> Iterator[Row]:
    """The rows with content, their cells in one line each, without empty ones at the end."""
    for number, cells in rows:
        kept = [one_line(cell) for cell in cells]
        while kept and not kept[-1]:
            kept.pop()
        if kept:
            counter.take(kept)
            yield number, kept


def _section(row: Row, header: Sequence[str], heading: str, page: int | None) -> Section:
    number, cells = row
    path = SEPARATOR.join(filter(None, (heading, f"#{number}")))
    return Section(path, row_text(cells, header), page)
