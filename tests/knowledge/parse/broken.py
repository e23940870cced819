"""Bytes of broken and hostile files, made out of good ones or from nothing; for `nasty`."""

import io
import random
import struct
import zipfile
from email.message import EmailMessage

from tests.knowledge.parse.files import plain_workbook, with_part

MB = 1024 * 1024
SHEET = "xl/worksheets/sheet1.xml"
WORDS = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


def archive(parts: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return out.getvalue()


def twice(good: bytes) -> bytes:
    """A part that is there twice: which one counts is for the parser to choose, and for the checker to miss."""
    other = b"word/theme/theme1.xml"
    assert good.count(other) == 2  # in front of it, and in the directory
    return good.replace(other, b"word/document.xml".ljust(len(other), b"\0"))


def lying(good: bytes) -> bytes:
    """An entry whose directory says that it is small."""
    content = with_part(good, "word/media/a.bin", bytes(MB))
    at = content.rindex(b"PK\x01\x02", 0, content.rindex(b"word/media/a.bin"))
    return content[: at + 24] + struct.pack("<I", 10) + content[at + 28 :]


def with_flag(good: bytes) -> bytes:
    """Every entry says that it has a password."""
    out = bytearray(good)
    at = out.find(b"PK\x01\x02")
    while at >= 0:
        out[at + 8] |= 1
        at = out.find(b"PK\x01\x02", at + 1)
    return bytes(out)


def words(body: bytes) -> bytes:
    return b"<w:document " + WORDS.encode() + b"><w:body>" + body + b"</w:body></w:document>"


def sheet(head: str, row: str, tail: str = "") -> bytes:
    xml = (
        '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
        f'{head}<sheetData><row r="1">{row}</row></sheetData>{tail}</worksheet>'
    )
    return with_part(plain_workbook(), SHEET, xml.encode())


def pdf(objects: bytes) -> bytes:
    return b"%PDF-1.7\n" + objects + b"\ntrailer<</Root 1 0 R>>\n%%EOF"


def swapped(good: bytes, seed: int) -> bytes:
    """Two stretches of the file change places."""
    dice = random.Random(seed)
    a, b, c = sorted(dice.sample(range(20, len(good)), 3))
    return good[:a] + good[b:c] + good[a:b] + good[c:]


def many_parts(count: int) -> bytes:
    part = b"--b\nContent-Type: text/plain\n\nx\n"
    return b"Subject: x\nContent-Type: multipart/mixed; boundary=b\n\n" + part * count + b"--b--\n"


def nested_parts(count: int) -> bytes:
    head = b"Subject: x\n"
    for number in range(count):
        head += b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (number, number)
    return head + b"Content-Type: text/plain\n\nhello\n"


def within(depth: int) -> bytes:
    message = EmailMessage()
    message["Subject"] = "deepest"
    message.set_content("hello")
    for number in range(depth):
        outer = EmailMessage()
        outer["Subject"] = str(number)
        outer.set_content(f"text {number}")
        outer.add_attachment(message)
        message = outer
    return message.as_bytes()
