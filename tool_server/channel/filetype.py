"""What a file is, by its first bytes and never by its name alone; used by `inbound`."""

import io
import zipfile
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

type Group = Literal["image", "document", "audio", "video"]


@dataclass(frozen=True)
class FileType:
    """A kind of file: Dify's group, the ending of its name, and its MIME type."""

    group: Group
    ending: str
    mime: str


PDF = FileType("document", "pdf", "application/pdf")
OFFICE = "application/vnd.openxmlformats-officedocument."
# Where in the file → what stands there → what it is; the first that fits counts.
BEGINNINGS: tuple[tuple[int, bytes, FileType], ...] = (
    (0, b"\xff\xd8\xff", FileType("image", "jpg", "image/jpeg")),
    (0, b"\x89PNG\r\n\x1a\n", FileType("image", "png", "image/png")),
    (0, b"GIF8", FileType("image", "gif", "image/gif")),
    (8, b"WEBP", FileType("image", "webp", "image/webp")),
    (0, b"%PDF-", PDF),
    (0, b"#!AMR", FileType("audio", "amr", "audio/amr")),
    (0, b"#!SILK_V3", FileType("audio", "silk", "audio/silk")),
    (1, b"#!SILK_V3", FileType("audio", "silk", "audio/silk")),
    (0, b"ID3", FileType("audio", "mp3", "audio/mpeg")),
    (8, b"WAVE", FileType("audio", "wav", "audio/wav")),
    (0, b"OggS", FileType("audio", "ogg", "audio/ogg")),
    (4, b"ftypM4A", FileType("audio", "m4a", "audio/mp4")),
    (4, b"ftyp", FileType("video", "mp4", "video/mp4")),
)
# A part that a ZIP of this kind has.
ZIPPED = {
    "word/document.xml": FileType("document", "docx", f"{OFFICE}wordprocessingml.document"),
    "xl/workbook.xml": FileType("document", "xlsx", f"{OFFICE}spreadsheetml.sheet"),
    "ppt/presentation.xml": FileType("document", "pptx", f"{OFFICE}presentationml.presentation"),
}
TEXTS = {
    "txt": "text/plain",
    "md": "text/markdown",
    "csv": "text/csv",
    "html": "text/html",
    "htm": "text/html",
    "xml": "text/xml",
    "json": "application/json",
}
CONTROL = frozenset({*range(32), 127}) - {9, 10, 12, 13}
# Of a text this much is looked at.
LOOKED_AT = 4096


def file_type(data: bytes, name: str = "") -> FileType | None:
    """What these bytes are; None for what nobody here can read. Only of texts the name's ending decides."""
    for at, mark, kind in BEGINNINGS:
        if data[at : at + len(mark)] == mark:
            return kind
    if data.startswith(b"PK\x03\x04"):
        return _zipped(data)
    return _text(data, PurePosixPath(name).suffix.lower().lstrip("."))


def _zipped(data: bytes) -> FileType | None:
    try:
        names = set(zipfile.ZipFile(io.BytesIO(data)).namelist())
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        return None
    return next((kind for part, kind in ZIPPED.items() if part in names), None)


def _text(data: bytes, ending: str) -> FileType | None:
    mime, head = TEXTS.get(ending), data[:LOOKED_AT]
    if mime is None or not head or CONTROL.intersection(head):
        return None
    return FileType("document", ending, mime)
