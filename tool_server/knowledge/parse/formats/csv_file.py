"""CSV and TSV: a section for each row, with the names of the columns."""

import csv
import io
from collections.abc import Iterator

from tool_server.knowledge.document import Document
from tool_server.knowledge.parse.decode import decode
from tool_server.knowledge.parse.file import File
from tool_server.knowledge.parse.rows import Counter, Row, row_sections
from tool_server.knowledge.parse.unreadable import Unreadable

DELIMITERS = ",\t;|，"
# The delimiter is the one that cuts these first lines most evenly.
SAMPLE_LINES = 20
SAMPLE_CHARACTERS = 64 * 1024


def read(file: File) -> Iterator[Document]:
    """One document."""
    text = decode(file.content)
    csv.field_size_limit(file.limits.characters)
    rows = row_sections(_rows(text, _delimiter(text)), Counter(file.limits))
    yield file.document(rows, kind="csv")


def _rows(text: str, delimiter: str) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        yield from enumerate(reader, start=1)
    except csv.Error as error:
        raise Unreadable(f"line {reader.line_num}: {error}") from None


def _delimiter(text: str) -> str:
    return max(DELIMITERS, key=lambda delimiter: _evenness(text, delimiter))


def _evenness(text: str, delimiter: str) -> tuple[float, int]:
    """The share of the first rows that have as many cells as the commonest, and how many those are."""
    sample = "\n".join(text[:SAMPLE_CHARACTERS].split("\n")[:SAMPLE_LINES])
    try:
        widths = [len(row) for row in csv.reader(io.StringIO(sample), delimiter=delimiter) if row]
    except csv.Error:
        return 0.0, 0
    commonest = max(set(widths), key=widths.count, default=0)
    if commonest < 2:
        return 0.0, 0
    return widths.count(commonest) / len(widths), commonest
