"""Pinned questions out of a CSV file; called by the route and by `shenqiao pins import`."""

import csv
import io
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from pydantic import ValidationError

from tool_server.errors import BadRequest
from tool_server.knowledge.pins import Pins, PinText

COLUMNS = ("question", "answer", "url")
# What Excel writes in a Chinese office, when it does not write UTF-8.
ENCODINGS = ("utf-8-sig", "gb18030")
ERRORS = 100  # that are told one by one


@dataclass(frozen=True)
class RowError:
    """A row that was not taken; the row after the header is 2, as a spreadsheet counts."""

    row: int
    reason: str


@dataclass
class Report:
    """How many rows were stored, and which were not; beyond `ERRORS` they are only counted."""

    stored: int = 0
    refused: int = 0
    errors: list[RowError] = field(default_factory=list)

    def refuse(self, row: int, reason: str) -> None:
        self.refused += 1
        if len(self.errors) < ERRORS:
            self.errors.append(RowError(row, reason))

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def import_pins(pins: Pins, base: str, content: bytes, *, limit: int) -> Report:
    """Store each row, instead of a pin with the same question; `limit`: pins of the base.

    Raises `BadRequest` where it is no CSV file with the columns question and answer, `NotFound` for an unknown base.
    """
    report = Report()
    good: list[tuple[int, PinText]] = []
    for row, values in _rows(content):
        try:
            good.append((row, PinText.model_validate(values)))
        except ValidationError as error:
            first = error.errors()[0]
            report.refuse(row, f"{first['loc'][0]}: {first['msg']}")
    failed = pins.put_all(base, [text for _, text in good], limit=limit)
    for at, reason in failed.items():
        report.refuse(good[at][0], reason)
    report.stored = len(good) - len(failed)
    return report


def _rows(content: bytes) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows by the header's names, with their numbers; empty ones are passed over."""
    reader = csv.reader(io.StringIO(_decoded(content), newline=""), strict=True)
    header: list[str] = []
    try:
        for number, row in enumerate(reader, start=1):
            if number == 1:
                header = _header(row)
            elif any(cell.strip() for cell in row):
                yield number, dict(zip(header, row, strict=False))
    except csv.Error as error:
        raise BadRequest(f"line {reader.line_num}: this is not CSV ({error}).") from None
    if not header:
        raise BadRequest("The file is empty.")


def _header(row: list[str]) -> list[str]:
    names = [name.strip().lower() for name in row]
    if not {"question", "answer"} <= set(names) or not set(names) <= set(COLUMNS):
        raise BadRequest(
            "The first line must name the columns: question,answer or question,answer,url."
        )
    return names


def _decoded(content: bytes) -> str:
    for encoding in ENCODINGS:
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise BadRequest("The file is neither UTF-8 nor GB18030.")
