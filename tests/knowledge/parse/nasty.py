"""Two hundred files that nobody wants, each with what has to become of it; `test_nasty` reads them all."""

import json
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from openpyxl.worksheet.worksheet import Worksheet
from reportlab.lib.pdfencrypt import StandardEncryption

from tests.knowledge.parse import broken
from tests.knowledge.parse.broken import MB, SHEET
from tests.knowledge.parse.files import (
    mail,
    pdf,
    plain_pdf,
    plain_show,
    plain_word,
    plain_workbook,
    with_part,
    workbook,
)

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
DOCUMENT = "word/document.xml"
ANY = ""  # read, or refused for whatever reason: how much of a broken file can be saved is the parser's affair
READ = "read"


@dataclass(frozen=True)
class Nasty:
    """A file's name, how it is made at a path, and its fate: `READ`, `ANY`, or words of the refusal."""

    name: str
    make: Callable[[Path], object]
    fate: str


def nasty_files() -> Iterator[Nasty]:
    """All of them; each has a name of its own."""
    yield from _of(_truncated)
    yield from _of(_wrong_names)
    yield from _of(_texts)
    yield from _of(_archives)
    yield from _of(_xml)
    yield from _of(_pdfs)
    yield from _of(_tables)
    yield from _of(_nested)
    yield from _of(_mails)
    yield from _special()


type Plain = Iterator[tuple[str, bytes, str]]


def _of(group: Callable[[], Plain]) -> Iterator[Nasty]:
    for name, content, fate in group():
        yield Nasty(name, lambda path, content=content: path.write_bytes(content), fate)  # type: ignore[misc]


def valid_files() -> dict[str, bytes]:
    """One good file of each kind; what is broken of them is below."""
    return {
        "good.pdf": pdf([["年假十二天。", "text"], ["page two"]]),
        "good.docx": plain_word(),
        "good.pptx": plain_show(),
        "good.xlsx": plain_workbook(),
        "good.html": "<title>年假</title><h1>甲</h1><p>十二天<table><tr><td>1<td>2</table>".encode(),
        "good.md": "# 年假\n\n十二天。\n\n## 病假\n\n八天。\n".encode(),
        "good.txt": "第一条 甲。\n第二条 乙。\n".encode("gb18030"),
        "good.csv": "名称,价格\n苹果,5\n梨,3\n".encode(),
        "good.json": json.dumps([{"name": "苹果", "price": 5}]).encode(),
        "good.jsonl": b'{"id": 1, "text": "apple"}\n{"id": 2, "text": "pear"}\n',
        "good.eml": mail("请看附件。", ("表.csv", b"a,b\n1,2\n")),
    }


def _truncated() -> Plain:
    """Every kind, cut off at five places."""
    for name, content in valid_files().items():
        for share in (0.02, 0.3, 0.6, 0.9, 0.99):
            at = max(1, int(len(content) * share))
            zipped = name.endswith(("docx", "pptx", "xlsx"))
            fate = "cut off" if zipped and at > 4 else ANY
            yield f"cut-{share}-{name}", content[:at], fate


def _wrong_names() -> Plain:
    good = valid_files()
    for name, suffix in (
        ("good.pdf", "docx"),
        ("good.docx", "pdf"),
        ("good.xlsx", "pptx"),
        ("good.pptx", "xlsx"),
    ):
        yield f"{name}.{suffix}", good[name], READ
    yield "docx.doc", good["good.docx"], READ
    yield "pdf.txt", good["good.pdf"], READ
    yield "docx.txt", good["good.docx"], READ
    yield "text.pdf", b"just text", "no PDF file"
    yield "text.docx", b"just text", "no DOCX file"
    yield "text.xls", b"just text", "save it as"
    yield "word97.doc", OLE + bytes(2000), "save it as .docx"
    yield "word97.docx", OLE + bytes(2000), "save it as .docx"
    yield "locked.docx", OLE + bytes(600) + "EncryptedPackage".encode("utf-16-le"), "encrypted"
    yield "rich.rtf", b"{\\rtf1 hello}", "save it as"
    yield "rich.txt", b"{\\rtf1 hello}", "RTF"
    yield "picture.txt", b"\x89PNG\r\n\x1a\n" + random.Random(1).randbytes(5000), "not text"
    yield "program.md", b"\x7fELF" + bytes(range(256)) * 40, "not text"
    yield "noise.html", random.Random(2).randbytes(20_000), ANY
    yield "noise.pdf", b"%PDF-1.7\n" + random.Random(3).randbytes(20_000), "damaged"
    yield "noise.eml", random.Random(4).randbytes(20_000), ANY
    yield "noise.json", random.Random(5).randbytes(20_000), ANY
    yield "mark-only.pdf", b"%PDF-1.7", "damaged"
    yield (
        "odt.docx",
        broken.archive({"mimetype": b"application/vnd.oasis.opendocument.text"}),
        "no Office file",
    )
    yield "plain-zip.xlsx", broken.archive({"readme.txt": b"hello"}), "no Office file"
    yield "zip.md", broken.archive({"readme.txt": b"hello"}), "no Office file"
    yield "nothing.exe", b"MZ", "not read"
    yield "no-suffix", b"text", "not read"


def _texts() -> Plain:
    for suffix in (
        "txt",
        "md",
        "html",
        "csv",
        "json",
        "jsonl",
        "eml",
        "pdf",
        "docx",
        "pptx",
        "xlsx",
    ):
        yield f"empty.{suffix}", b"", "empty"
        yield f"blank.{suffix}", b" \n\t\n", "empty"
    yield "nul.txt", bytes(5000), "empty"
    yield "some-nul.txt", b"apple\0" * 200, "not text"
    yield "one-nul.txt", b"apple " * 200 + b"\0", READ
    yield "gbk.txt", "员工每年有十二天年假。".encode("gbk") * 50, READ
    yield "big5.txt", "員工每年有十二天年假。".encode("big5") * 50, READ
    yield "big5.html", "<meta charset=big5><p>員工每年有十二天年假。".encode("big5"), READ
    yield "utf16.csv", "名称,价格\n苹果,5\n".encode("utf-16"), READ
    yield "utf32.txt", "年假".encode("utf-32"), READ
    yield "half-utf16.txt", ("年假" * 100).encode("utf-16")[:-1], READ
    yield "mixed.txt", "年假".encode() + "年假".encode("gbk") * 40, ANY
    yield "one-line.txt", b"word " * (3 * MB), READ
    yield "one-word.txt", b"x" * 5 * MB, READ
    yield "one-line.md", b"#" * 2 * MB, READ
    yield "headings.md", b"# x \n" * 100_000, "headings only"
    yield "blanks.md", b"# " + b" " * MB + b"x\n", READ
    yield "deep-headings.txt", "".join(f"第{n}条 x\n" for n in range(1, 50_000)).encode(), READ
    yield "surrogates.txt", b"\xed\xa0\x80 apple", ANY
    yield "surrogates.json", b'["\\ud800 apple"]', READ
    yield "surrogates.jsonl", b'{"id": "\\ud800", "text": "x"}', "line 1: id"
    yield "controls.html", b"<p>apple\x01\x02\x1b[31m</p>" + b"<p>word</p>" * 200, READ
    yield "charset.html", b"<meta charset=unicode_escape><p>\\x41\xff\xfe", ANY
    yield "charset2.html", b"<meta charset=idna>" + b"\xff" * 10_000, ANY
    yield "characters.txt", b"x " * (11 * MB), "more than"


def _archives() -> Plain:
    good = plain_word()
    yield "ratio.docx", with_part(good, "word/media/a.bin", bytes(300 * MB)), "unpacks to more than"
    yield (
        "text-ratio.docx",
        with_part(good, DOCUMENT, broken.words(b"<w:p/>" * 12_000_000)),
        "unpacks to more than",
    )
    inner = broken.archive({"a.bin": bytes(20 * MB)})
    yield "nested.docx", with_part(good, "word/embeddings/a.zip", inner), READ
    yield (
        "many.docx",
        broken.archive({f"word/{n}.xml": b"" for n in range(11_000)} | {DOCUMENT: b"<a/>"}),
        "parts",
    )
    yield "twice.docx", broken.twice(good), "one name"
    yield "lying.docx", broken.lying(good), "damaged or cut off"
    yield "no-document.docx", broken.archive({DOCUMENT: b"<a/>"}), "damaged"
    yield "not-xml.docx", with_part(good, DOCUMENT, b"hello"), "damaged"
    yield "macros.docx", with_part(good, "word/vbaProject.bin", OLE), "macros"
    yield "macros.xlsm", with_part(plain_workbook(), "xl/vbaProject.bin", OLE), "macros"
    yield "password.docx", broken.with_flag(good), "encrypted"
    yield "rubbish-between.xlsx", b"PK\x03\x04" + bytes(1000), "cut off"
    yield (
        "folders.pptx",
        broken.archive({"../../etc/passwd": b"x", "ppt/presentation.xml": b"<a/>"}),
        "damaged",
    )
    yield (
        "no-sheets.xlsx",
        with_part(plain_workbook(), "xl/workbook.xml", b"<workbook/>"),
        "no text",
    )
    yield "broken-sheet.xlsx", with_part(plain_workbook(), SHEET, b"<worksheet><row"), "damaged"


def _xml() -> Plain:
    entity = b'<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">'
    bomb = (
        entity
        + b"".join(b'<!ENTITY %c "%s">' % (c, b"&%c;" % (c - 1) * 10) for c in b"bcdefghij")
        + b"]>"
    )
    outside = b'<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
    for name, head in (
        ("laughs", bomb),
        ("outside", outside),
        ("remote", outside.replace(b"file:///", b"http://")),
    ):
        xml = head + broken.words(b"<w:p><w:r><w:t>&a;</w:t></w:r></w:p>")
        yield f"{name}.docx", with_part(plain_word(), DOCUMENT, xml), "document type"
        yield (
            f"{name}.xlsx",
            with_part(plain_workbook(), "xl/sharedStrings.xml", xml),
            "document type",
        )
        yield f"{name}.pptx", with_part(plain_show(), "ppt/slides/slide1.xml", xml), "document type"
        yield f"{name}.html", head + b"<p>&j; &a; text", READ
    utf16 = (outside.decode() + "<a/>").encode("utf-16")
    yield "utf16-entity.docx", with_part(plain_word(), DOCUMENT, utf16), "document type"
    deep = broken.words(b"<w:sdt>" * 50_000 + b"</w:sdt>" * 50_000)
    yield "deep.docx", with_part(plain_word(), DOCUMENT, deep), ANY
    yield "wide.docx", with_part(plain_word(), DOCUMENT, broken.words(b"<w:p/>" * 300_000)), ANY
    yield "span.docx", with_part(plain_word(), DOCUMENT, broken.words(_SPAN)), READ


_SPAN = (
    b"<w:tbl><w:tr><w:tc><w:tcPr><w:gridSpan w:val='2000000000'/></w:tcPr>"
    b"<w:p><w:r><w:t>apple</w:t></w:r></w:p></w:tc></w:tr></w:tbl>"
)


def _pdfs() -> Plain:
    good = plain_pdf()
    yield "scan.pdf", pdf([[]] * 3), "no text layer: 3 pages"
    yield (
        "locked.pdf",
        pdf([["x"]], encrypt=StandardEncryption("secret", "owner", strength=128)),
        "encrypted",
    )
    yield "owner.pdf", pdf([["apple"]], encrypt=StandardEncryption("", "owner", strength=128)), READ
    yield "pages.pdf", pdf([["x"]] * 2001), "2001 pages"
    loop = b"1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Kids[2 0 R]/Count 1>>endobj "
    yield "loop.pdf", broken.pdf(loop), ANY
    count = b"1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Kids[]/Count 2000000000>>endobj "
    yield "count.pdf", broken.pdf(count), ANY
    deep = b"1 0 obj" + b"[" * 100_000 + b"]" * 100_000 + b"endobj "
    yield "deep.pdf", broken.pdf(deep), "damaged"
    yield "xref.pdf", good.replace(b"startxref", b"startxxxx"), ANY
    yield "offset.pdf", good[: good.rindex(b"startxref")] + b"startxref\n999999999\n%%EOF", ANY
    yield "prefix.pdf", b"x" * 500 + good, ANY
    yield "appended.pdf", good + b"\0" * MB, READ
    script = b"/OpenAction<</S/JavaScript/JS(app.alert\\(1\\);while\\(1\\){})>>/Type /Catalog"
    yield "script.pdf", good.replace(b"/Type /Catalog", script), READ
    yield "self.pdf", good.replace(b"/Length", b"/Length 6 0 R /Old"), ANY
    yield (
        "huge-page.pdf",
        good.replace(b"/MediaBox [ 0 0 595.2756 841.8898 ]", b"/MediaBox [0 0 1e30 1e30]"),
        ANY,
    )
    for number in range(6):
        yield f"swapped-{number}.pdf", broken.swapped(good, number), ANY


def _tables() -> Plain:
    yield "columns.csv", (b"x," * 10_000 + b"\n") * 3, "more than 500 columns"
    yield "rows.csv", b"a,b\n" * 20_002, "more than 20000 rows"
    yield "quote.csv", b'a,b\n"' + b"x,y\n" * 20_000, READ
    yield "delimiters.csv", b"," * 1_000_000, ANY
    yield "nul.csv", b"a,b\n1,\0\n" + b"1,2\n" * 100, READ
    for name, ref in (("xfd", "A1:XFD1048576"), ("beyond", "A1:ZZZZ99999999"), ("nonsense", "??")):
        yield (
            f"{name}.xlsx",
            broken.sheet(f'<dimension ref="{ref}"/>', '<c r="A1"><v>7</v></c>'),
            ANY,
        )
    yield "far-cell.xlsx", broken.sheet("", '<c r="XFD1"><v>7</v></c>'), "columns"
    yield (
        "far-row.xlsx",
        broken.sheet(
            "", '<c r="A1"><v>7</v></c></row><row r="1048576"><c r="A1048576"><v>8</v></c>'
        ),
        READ,
    )
    yield (
        "beyond-row.xlsx",
        broken.sheet("", '<c r="A1"><v>7</v></c></row><row r="9999999999"><c><v>8</v></c>'),
        "rows",
    )
    yield "index.xlsx", broken.sheet("", '<c r="A1" t="s"><v>99999</v></c>'), "damaged"
    yield "date.xlsx", broken.sheet("", '<c r="A1" t="d"><v>9999-99-99</v></c>'), ANY
    merge = "".join(f'<mergeCell ref="A{n}:XFD1048576"/>' for n in range(1, 30_000))
    yield (
        "merges.xlsx",
        broken.sheet("", '<c r="A1"><v>7</v></c>', f"<mergeCells>{merge}</mergeCells>"),
        ANY,
    )
    yield "sheets.xlsx", workbook(_sheets), "sheets"
    yield (
        "rows.xlsx",
        workbook(_rows),
        "rows",
    )


def _sheets(sheet: Worksheet) -> None:
    for number in range(100):
        sheet.parent.create_sheet(f"s{number}").append((number,))  # type: ignore[union-attr]


def _rows(sheet: Worksheet) -> None:
    for number in range(20_001):
        sheet.append((number, number))


def _nested() -> Plain:
    yield "divs.html", b"<div>" * 100_000 + b"x" + b"</div>" * 100_000, "nested too deep"
    yield "unclosed.html", b"<b>" * 100_000 + b"x", "nested too deep"
    yield "spans.html", b"<p><span>" * 2000 + b"x", READ
    yield "items.html", b"<li>x" * 100_000, READ
    yield "tables.html", b"<table><tr><td>" * 900 + b"x", READ
    yield "attributes.html", b"<p " + b"a=1 " * 500_000 + b">x</p>", READ
    yield "tag.html", b"<" * 1_000_000 + b"x", READ
    yield "comment.html", b"apple<!--" + b"-" * 1_000_000, READ
    yield "entities.html", b"&amp;" * 500_000, READ
    yield "lists.json", b"[" * 100_000 + b"]" * 100_000, "nested too deep"
    yield "objects.json", b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested too deep"
    yield "paths.json", b'{"abcdefghij":' * 900 + b"1" + b"}" * 900, ANY
    yield "digits.json", b"[" + b"9" * 100_000 + b"]", "number that is too long"
    yield "nan.json", b"[NaN, Infinity]", READ
    yield "lists.jsonl", b"[" * 100_000, "line 1 is not JSON"
    yield "keys.json", json.dumps({f"k{n}": [n] for n in range(50_000)}).encode(), READ


def _mails() -> Plain:
    yield "parts.eml", broken.many_parts(2000), "parts"
    yield "nested.eml", broken.nested_parts(1000), ANY
    yield "within.eml", broken.within(10), READ
    yield "attachments.eml", mail("x", *((f"{n}.txt", b"text") for n in range(51))), "attachments"
    yield "no-header.eml", b"hello", "no e-mail"
    yield "headers.eml", b"".join(b"X-%d: y\n" % n for n in range(50_000)) + b"\nhello", READ
    yield "long-header.eml", b"Subject: " + b"=?utf-8?B?" * 20_000 + b"\n\nhello", ANY
    yield "charset.eml", b"Subject: x\nContent-Type: text/plain; charset=hex\n\nhello", READ
    yield "base64.eml", b"Subject: x\nContent-Transfer-Encoding: base64\n\n!!!!", ANY
    yield "date.eml", b"Subject: x\nDate: 99 Foo 99999 99:99\n\nhello", READ
    yield "bomb.eml", mail("x", ("a.docx", with_part(plain_word(), "a.bin", bytes(100 * MB)))), READ
    yield "names.eml", mail("x", ("../../../etc/cron.d/x.txt", b"text"), (".txt", b"text")), READ


def _special() -> Iterator[Nasty]:
    """What is no file, or has a name that no file should have."""
    yield Nasty("pipe.pdf", os.mkfifo, "not a file")
    yield Nasty("folder.pdf", Path.mkdir, "not a file")
    yield Nasty("nowhere.pdf", lambda path: path.symlink_to("missing"), "cannot be opened")
    yield Nasty("circle.pdf", lambda path: path.symlink_to(path.name), "cannot be opened")
    yield Nasty("device.txt", lambda path: path.symlink_to("/dev/zero"), "not a file")
    yield Nasty("sparse.pdf", lambda path: _sparse(path, 100 * MB), "more than")
    yield Nasty("sparse.txt", lambda path: _sparse(path, 40 * MB), "empty")
    for name in (
        "年假 (终稿)\n.txt",
        "-rf.txt",
        "'; drop.txt",
        "a" * 240 + ".txt",
        "\u202etxt.fdp.txt",
        "%00.txt",
    ):
        yield Nasty(name, lambda path: path.write_text("apple"), READ)
    yield Nasty(
        os.fsdecode("年假".encode("gbk")) + ".txt", lambda path: path.write_text("apple"), READ
    )


def _sparse(path: Path, size: int) -> None:
    with path.open("wb") as file:
        file.truncate(size)
