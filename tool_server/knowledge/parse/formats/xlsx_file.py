"""Excel: each row of each visible sheet is a section, with the names of the columns; merged cells are filled."""

import io
import re
from collections.abc import Iterable, Iterator
from datetime import date, datetime, time, timedelta
from typing import Any

import openpyxl
from openpyxl.utils.cell import range_boundaries

from tool_server.knowledge.document import Document, Section
from tool_server.knowledge.parse.file import File
from tool_server.knowledge.parse.properties import properties_of
from tool_server.knowledge.parse.rows import Counter, Row, row_sections
from tool_server.knowledge.parse.unreadable import Unreadable

# What the library streams a sheet as; its stubs take it for the sheet of the other mode.
type Sheet = Any

MERGED = re.compile(
    rb'<(?:\w+:)?mergeCell\b[^>]{0,200}?\bref="([A-Z]{1,3}\d{1,7}:[A-Z]{1,3}\d{1,7})"'
)
MERGES = 20_000
CHUNK = 256 * 1024
OVERLAP = 300
# The last row that a sheet can have.
ROWS = 1_048_576
MIDNIGHT = time()


def read(file: File) -> Iterator[Document]:
    """One document; a page is a sheet's number."""
    book = openpyxl.load_workbook(
        io.BytesIO(file.content), read_only=True, data_only=True, keep_links=False
    )
    if len(book.sheetnames) > file.limits.table_sheets:
        raise Unreadable(f"it has more than {file.limits.table_sheets} sheets")
    hidden = sum(sheet.sheet_state != "visible" for sheet in book.worksheets)
    metadata = {
        **properties_of(file.content),
        "pages": float(len(book.sheetnames)),
        "sheets_hidden": float(hidden) or None,
    }
    yield file.document(
        _sheets(book, Counter(file.limits), file.limits.table_columns),
        kind="xlsx",
        metadata=metadata,
    )


def _sheets(book: openpyxl.Workbook, counter: Counter, columns: int) -> Iterator[Section]:
    for number, sheet in enumerate(book.worksheets, start=1):
        if sheet.sheet_state == "visible":
            yield from row_sections(_rows(sheet, columns), counter, sheet.title, number)


def _rows(sheet: Sheet, columns: int) -> Iterator[Row]:
    """The rows of a sheet, whatever size it says it has."""
    merges = _Merges(_merged(sheet), columns)
    sheet.reset_dimensions()
    for number, cells in enumerate(sheet.iter_rows(), start=1):
        if number > ROWS:
            raise Unreadable(f"the sheet {sheet.title!r} has more rows than a sheet can have")
        yield number, merges.filled(number, [_value(cell) for cell in cells])


def _merged(sheet: Sheet) -> Iterator[tuple[int, int, int, int]]:
    """First column, first row, last column, last row of merged cells. The library's streaming mode leaves them out."""
    held = b""
    count = 0
    with sheet._get_source() as source:
        while part := source.read(CHUNK):
            held = held[-OVERLAP:] + part
            for match in MERGED.finditer(held):
                count += 1
                if count > MERGES:
                    return
                yield range_boundaries(match[1].decode())  # type: ignore[misc]


class _Merges:
    """Merged cells of a sheet, filled from top to bottom with what stands in their first."""

    def __init__(self, merged: Iterable[tuple[int, int, int, int]], columns: int) -> None:
        self._columns = columns
        self._begin: dict[int, set[tuple[int, int, int]]] = {}
        for first, top, last, bottom in merged:
            self._begin.setdefault(top, set()).add((first, last, bottom))
        self._open: list[tuple[int, int, int, str]] = []

    def filled(self, number: int, cells: list[str]) -> list[str]:
        self._open = [merge for merge in self._open if merge[2] >= number]
        for first, last, bottom in self._begin.get(number, ()):
            if first <= len(cells) and cells[first - 1]:
                self._open.append((first, last, bottom, cells[first - 1]))
        for first, last, _, text in self._open:
            last = min(last, self._columns)
            cells += [""] * (last - len(cells))
            for at in range(first - 1, last):
                cells[at] = cells[at] or text
        return cells


def _value(cell: Any) -> str:
    """A cell as a person reads it."""
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, datetime):
        return str(value.date() if value.time() == MIDNIGHT else value.isoformat(" ", "minutes"))
    if isinstance(value, date | time | timedelta):
        return str(value)
    if isinstance(value, int | float):
        if "%" in str(getattr(cell, "number_format", "")):
            return f"{value * 100:.10g}%"
        return f"{value:.15g}"
    return str(value)
