"""Small real files of each kind, made by the libraries that write them; used by the tests of reading."""

import io
import zipfile
from collections.abc import Callable, Sequence
from email.message import EmailMessage

import docx
import openpyxl
from docx.document import Document as Word
from openpyxl.worksheet.worksheet import Worksheet
from pptx import Presentation
from pptx.presentation import Presentation as Show
from reportlab.lib.pagesizes import A4
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas

CHINESE = "STSong-Light"
LINE = 20


def pdf(
    pages: Sequence[Sequence[str]],
    change: Callable[[Canvas], object] = lambda _canvas: None,
    *,
    bookmarks: Sequence[str] = (),
    on_first_page: bool = False,
    encrypt: StandardEncryption | None = None,
) -> bytes:
    """Pages of lines, in a font for Chinese."""
    if CHINESE not in pdfmetrics.getRegisteredFontNames():
        pdfmetrics.registerFont(UnicodeCIDFont(CHINESE))
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=A4, encrypt=encrypt)
    change(canvas)
    for number, lines in enumerate(pages):
        for mark in _marks(bookmarks, number, on_first_page=on_first_page):
            canvas.bookmarkPage(mark)
            canvas.addOutlineEntry(mark, mark)
        canvas.setFont(CHINESE, 12)
        for at, line in enumerate(lines):
            canvas.drawString(60, A4[1] - 60 - LINE * at, line)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def _marks(bookmarks: Sequence[str], page: int, *, on_first_page: bool) -> Sequence[str]:
    """Those of this page: all on the first, or one on each."""
    if on_first_page:
        return () if page else bookmarks
    return bookmarks[page : page + 1]


def word(fill: Callable[[Word], object]) -> bytes:
    document = docx.Document()
    fill(document)
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def show(fill: Callable[[Show], object]) -> bytes:
    presentation = Presentation()
    fill(presentation)
    out = io.BytesIO()
    presentation.save(out)
    return out.getvalue()


def workbook(fill: Callable[[Worksheet], object]) -> bytes:
    book = openpyxl.Workbook()
    sheet = book.active
    assert isinstance(sheet, Worksheet)
    fill(sheet)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def mail(text: str, *attachments: tuple[str, bytes], subject: str = "报价") -> bytes:
    message = EmailMessage()
    message["Subject"] = subject
    message["From"] = "李雷 <li@example.com>"
    message["To"] = "han@example.com"
    message["Date"] = "Mon, 02 Jun 2025 09:30:00 +0800"
    message.set_content(text)
    for name, content in attachments:
        message.add_attachment(content, "application", "octet-stream", filename=name)
    return message.as_bytes()


def with_part(archive: bytes, name: str, content: bytes) -> bytes:
    """An archive with a part added, or replaced."""
    out = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(archive)) as old,
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for entry in old.infolist():
            if entry.filename != name:
                new.writestr(entry, old.read(entry))
        new.writestr(name, content)
    return out.getvalue()


def plain_word() -> bytes:
    return word(lambda document: document.add_paragraph("年假十二天。"))


def plain_show() -> bytes:
    def fill(presentation: Show) -> None:
        slide = presentation.slides.add_slide(presentation.slide_layouts[1])
        slide.shapes.title.text_frame.text = "年假"
        slide.placeholders[1].text_frame.text = "十二天。"

    return show(fill)


def plain_workbook() -> bytes:
    def fill(sheet: Worksheet) -> None:
        for row in (("姓名", "天数"), ("张三", 12), ("李四", 8)):
            sheet.append(row)

    return workbook(fill)


def plain_pdf() -> bytes:
    return pdf([["年假十二天。"]])
