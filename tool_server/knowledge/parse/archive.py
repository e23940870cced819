"""Office files are ZIP archives of XML: what one may hold, checked before any parser opens it; used by `kinds`."""

import io
import re
import zipfile
import zlib
from collections.abc import Iterator

from tool_server.knowledge.parse.limits import Limits
from tool_server.knowledge.parse.unreadable import Unreadable

CHUNK = 256 * 1024
# A small archive may be squeezed as far as it likes.
RATIO_FROM_BYTES = 10 * 1024 * 1024
MAIN_PARTS = (
    ("word/document.xml", "docx"),
    ("ppt/presentation.xml", "pptx"),
    ("xl/workbook.xml", "xlsx"),
)
# Office writes no document types; entities that grow and files that are named need one. Also in UTF-16.
DOCTYPE = re.compile(rb"<\0?!\0?(?:D\0?O\0?C\0?T\0?Y\0?P\0?E|E\0?N\0?T\0?I\0?T\0?Y)", re.IGNORECASE)
DOCTYPE_BYTES = 24
XML = (".xml", ".rels", ".vml")


def office_kind(content: bytes, limits: Limits) -> str:
    """docx, pptx or xlsx, with every part unpacked once and found harmless. Raises `Unreadable`."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            kind = _kind(archive.namelist())
            _check(archive, len(content), limits)
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, OSError):
        raise Unreadable("its ZIP archive is damaged or cut off") from None
    return kind


def _kind(names: list[str]) -> str:
    if any(name.endswith("vbaProject.bin") for name in names):
        raise Unreadable("it holds macros: save it as .docx, .pptx or .xlsx, without them")
    for part, kind in MAIN_PARTS:
        if part in names:
            return kind
    raise Unreadable("it is a ZIP archive, and no Office file of the kinds that are read")


def _check(archive: zipfile.ZipFile, size: int, limits: Limits) -> None:
    entries = archive.infolist()
    if len(entries) > limits.archive_entries:
        raise Unreadable(f"it has more than {limits.archive_entries} parts")
    if any(entry.flag_bits & 1 for entry in entries):
        raise Unreadable("it is encrypted: save it without a password")
    if len({entry.filename for entry in entries}) < len(entries):
        raise Unreadable("two of its parts have one name")
    most = max(min(limits.archive_bytes, size * limits.archive_ratio), RATIO_FROM_BYTES)
    unpacked = 0
    for entry in entries:
        tail = b""
        for part in _parts(archive, entry):
            unpacked += len(part)
            if unpacked > most:
                raise Unreadable(f"it unpacks to more than {most} bytes")
            if entry.filename.lower().endswith(XML) and DOCTYPE.search(tail + part):
                raise Unreadable("its XML declares a document type or entities")
            tail = part[-2 * DOCTYPE_BYTES :]


def _parts(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    with archive.open(entry) as file:
        while part := file.read(CHUNK):
            yield part
