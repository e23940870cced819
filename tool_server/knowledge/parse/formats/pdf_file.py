"""PDF: the text layer, page by page, in paragraphs; headings by bookmarks, or by the numbers of articles."""

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pypdfium2 as pdfium

from tool_server.knowledge.document import Document, Section, Value
from tool_server.knowledge.parse.file import File, clean, one_line
from tool_server.knowledge.parse.numbered import numbered
from tool_server.knowledge.parse.outline import HEADING_CHARACTERS, Outline
from tool_server.knowledge.parse.pages import without_margins
from tool_server.knowledge.parse.paragraphs import joined
from tool_server.knowledge.parse.unreadable import Unreadable

PASSWORD = 4
SECURITY = 5
# PDFium's signs for a hyphen at the end of a line, which it has joined to the next.
HYPHEN = re.compile("[\x02\ufffe]")
BOOKMARKS = 10_000
BOOKMARK_DEPTH = 6
NUMBER_CHARACTERS = 8
DATE = re.compile(r"D:(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?(Z|[+-]\d\d)?'?(\d\d)?")


@dataclass(frozen=True)
class _Bookmark:
    level: int
    title: str

    def is_at(self, line: str) -> bool:
        """Whether the line is its title, with a number in front perhaps."""
        bare, title = "".join(line.split()), "".join(self.title.split())
        return bare.endswith(title) and len(bare) <= len(title) + NUMBER_CHARACTERS


def read(file: File) -> Iterator[Document]:
    """One document. Raises `Unreadable`, also where there are pictures of text only."""
    pdf = _open(file)
    count = len(pdf)
    if count > file.limits.pages:
        raise Unreadable(f"it has {count} pages, more than {file.limits.pages}")
    pages = _texts(pdf, file.limits.characters)
    empty = sum(not any(line.strip() for line in lines) for lines in pages)
    if empty == count:
        raise Unreadable(f"no text layer: {count} pages; recognise the text (OCR) first")
    pages = [joined(lines) for lines in without_margins(pages)]
    bookmarks = _bookmarks(pdf)
    sections = [] if bookmarks else numbered([(s, n) for n, p in enumerate(pages, 1) for s in p])
    metadata = {**_metadata(pdf), "pages": float(count), "pages_without_text": float(empty) or None}
    yield file.document(
        sections or _by_page(pages, bookmarks),
        kind="pdf",
        title=_title(pdf.get_metadata_value("Title")),
        metadata=metadata,
    )


def _open(file: File) -> pdfium.PdfDocument:
    try:
        pdf = pdfium.PdfDocument(io.BytesIO(file.content))
    except pdfium.PdfiumError as error:
        if error.err_code in (PASSWORD, SECURITY):
            raise Unreadable("it is encrypted: save it without a password") from None
        raise Unreadable("it is damaged, and no PDF that can be opened") from None
    if len(pdf) == 0:
        raise Unreadable("it has no pages")
    return pdf


def _texts(pdf: pdfium.PdfDocument, most: int) -> list[list[str]]:
    """The lines of each page; a page that cannot be loaded has none."""
    pages = []
    characters = 0
    for number in range(len(pdf)):
        text = _text(pdf, number)
        characters += len(text)
        if characters > most:
            raise Unreadable(f"it holds more than {most} characters of text")
        pages.append(text.split("\n"))
    return pages


def _text(pdf: pdfium.PdfDocument, number: int) -> str:
    try:
        page = pdf[number]
    except pdfium.PdfiumError:
        return ""
    try:
        layer = page.get_textpage()
        text = str(layer.get_text_range(errors="replace"))
        layer.close()
    except pdfium.PdfiumError:
        return ""
    finally:
        page.close()
    return clean(HYPHEN.sub("-\n", text).replace("\r\n", "\n").replace("\r", "\n"))


def _bookmarks(pdf: pdfium.PdfDocument) -> dict[int, list[_Bookmark]]:
    """The bookmarks of each page that has any, by the page's number from 0."""
    marks: dict[int, list[_Bookmark]] = {}
    for number, mark in enumerate(pdf.get_toc(max_depth=BOOKMARK_DEPTH)):
        if number == BOOKMARKS:
            break
        title = one_line(mark.get_title())[:HEADING_CHARACTERS]
        dest = mark.get_dest()
        page = dest.get_index() if dest is not None else None
        if page is not None and page >= 0 and title:
            marks.setdefault(page, []).append(_Bookmark(mark.level, title))
    return marks


def _by_page(
    pages: Sequence[Sequence[str]], bookmarks: Mapping[int, Sequence[_Bookmark]]
) -> list[Section]:
    """A section a page, and one more from each line on that is a bookmark's title."""
    outline = Outline()
    for number, lines in enumerate(pages):
        outline.end()
        marks = list(bookmarks.get(number, ()))
        if not any(mark.is_at(line) for mark in marks for line in lines):
            _head(outline, marks, number)
        for line in lines:
            at = next((at for at, mark in enumerate(marks) if mark.is_at(line)), None)
            if at is None:
                outline.line(line, number + 1)
            else:
                _head(outline, marks[: at + 1], number)
                del marks[: at + 1]
        _head(outline, marks, number)
    return outline.sections()


def _head(outline: Outline, marks: Sequence[_Bookmark], number: int) -> None:
    for mark in marks:
        outline.heading(mark.level, mark.title, number + 1)


def _title(title: str) -> str:
    """The title that the author gave; programs write the name of a file there."""
    return "" if re.search(r"\.\w{2,5}$|^Microsoft |^untitled|^\(anonymous\)$", title) else title


def _metadata(pdf: pdfium.PdfDocument) -> dict[str, Value | None]:
    return {
        "author": pdf.get_metadata_value("Author"),
        "created": _moment(pdf.get_metadata_value("CreationDate")),
        "modified": _moment(pdf.get_metadata_value("ModDate")),
    }


def _moment(text: str) -> str | None:
    match = DATE.match(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, zone, more = match.groups()
    at = f"{year}-{month or '01'}-{day or '01'}T{hour or '00'}:{minute or '00'}:{second or '00'}"
    return at + ("+00:00" if zone in (None, "Z") else f"{zone}:{more or '00'}")
