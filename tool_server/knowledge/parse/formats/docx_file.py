"""Word: headings by style, paragraphs, lists, tables row by row, text boxes; without headers, footers and comments."""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import docx
from docx.document import Document as Word
from docx.oxml.ns import qn
from docx.styles.style import BaseStyle

from tool_server.knowledge.document import Document
from tool_server.knowledge.parse.counting import Numbers
from tool_server.knowledge.parse.file import File
from tool_server.knowledge.parse.numbered import numbered
from tool_server.knowledge.parse.outline import Outline, titled
from tool_server.knowledge.parse.properties import properties_of
from tool_server.knowledge.parse.rows import Counter, table_text

type Element = Any  # lxml's elements have no types of their own

HEADING = re.compile(r"(?:heading|标题)\s*([1-9])", re.IGNORECASE)
TITLE = re.compile(r"title|标题|文档标题", re.IGNORECASE)
LIST = re.compile(r"list|列表|项目符号", re.IGNORECASE)
CONTENTS = re.compile(r"toc\s*\d|目录", re.IGNORECASE)
OUTLINE_LEVELS = tuple("012345678")
INHERITED = 10  # styles that one may be based on, one on the other

PARAGRAPH, TABLE, ROW, CELL = (qn(f"w:{name}") for name in ("p", "tbl", "tr", "tc"))
BOX = qn("w:txbxContent")
# Word writes a drawing twice, once for old programs.
FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
TEXTS = {qn("w:tab"): "\t", qn("w:br"): "\n", qn("w:cr"): "\n", qn("w:noBreakHyphen"): "-"}


def read(file: File) -> Iterator[Document]:
    """One document."""
    word = docx.Document(io.BytesIO(file.content))
    text = _Text(word, Counter(file.limits))
    for element in _blocks(word.element.body):
        text.take(element)
    sections = text.outline.sections()
    if not text.headed:
        lines = [(line, None) for section in sections for line in section.text.split("\n")]
        sections = numbered(lines) or sections
    title, sections = titled(sections, text.title)
    metadata = properties_of(file.content)
    yield file.document(sections, kind="docx", title=title, metadata=metadata)


@dataclass(frozen=True)
class _Style:
    """What a style says about its paragraphs: a heading's level as a digit, "title", "contents", "list", or nothing."""

    role: str = ""
    list_number: str = ""
    list_level: int = 0


class _Text:
    """A document's text, gathered from its beginning to its end."""

    def __init__(self, word: Word, counter: Counter) -> None:
        self.outline = Outline()
        self.title = ""
        self.headed = False
        self._counter = counter
        self._styles = {style.style_id: _style(style) for style in word.styles}
        self._numbers = Numbers(_numbering(word))

    def take(self, element: Element) -> None:
        if element.tag == TABLE:
            self.outline.paragraph(table_text(_cells(element), self._counter))
            return
        text = _text_of(element).strip()
        if text:
            self._place(self._style_of(element), text)
        for box in _boxes(element):
            for inner in _blocks(box):
                self.take(inner)

    def _place(self, style: _Style, text: str) -> None:
        mark = self._numbers.next(style.list_number, style.list_level)
        if style.role == "title" and not self.title:
            self.title = text
        elif style.role.isdigit():
            self.headed = True
            self.outline.heading(int(style.role), mark.removeprefix("- ") + text)
        elif mark == "- " or (not mark and style.role == "list"):
            self.outline.line(f"- {text}")
        elif style.role != "contents":
            self.outline.line(mark + text)
            self.outline.line("")

    def _style_of(self, paragraph: Element) -> _Style:
        """The paragraph's style, and what it says itself."""
        properties = paragraph.pPr
        if properties is None:
            return _Style()
        style = self._styles.get(properties.style or "", _Style())
        level = _outline_level(properties)
        return _numbered(replace(style, role=level) if level else style, properties)


def _style(style: BaseStyle) -> _Style:
    """A style with what it has from those that it is based on."""
    found = _Style()
    for _ in range(INHERITED):
        properties = style.element.find(qn("w:pPr"))
        if not found.role:
            found = replace(found, role=_role(str(style.name or "")) or _outline_level(properties))
        if not found.list_number and properties is not None:
            found = _numbered(found, properties)
        base = getattr(style, "base_style", None)
        if base is None:
            break
        style = base
    return found


def _role(name: str) -> str:
    if match := HEADING.fullmatch(name):
        return match[1]
    if TITLE.fullmatch(name):
        return "title"
    if CONTENTS.fullmatch(name):
        return "contents"
    return "list" if LIST.match(name) and name.lower() != "list paragraph" else ""


def _outline_level(properties: Element | None) -> str:
    level = properties.find(qn("w:outlineLvl")) if properties is not None else None
    value = level.get(qn("w:val"), "") if level is not None else ""
    return str(int(value) + 1) if value in OUTLINE_LEVELS else ""


def _numbered(style: _Style, properties: Element) -> _Style:
    """The style, with the list that these properties name."""
    values = {
        child.tag: child.get(qn("w:val"), "") for child in properties.iterfind(f"{qn('w:numPr')}/*")
    }
    number = values.get(qn("w:numId"), style.list_number)
    level = values.get(qn("w:ilvl"), str(style.list_level))
    return replace(
        style, list_number=number, list_level=int(level) if level in OUTLINE_LEVELS else 0
    )


def _numbering(word: Word) -> Element | None:
    try:
        return word.part.numbering_part.element
    except (
        KeyError,
        NotImplementedError,
        AttributeError,
    ):  # without lists a document has no such part
        return None


def _blocks(parent: Element) -> Iterator[Element]:
    """Paragraphs and tables, also those in content controls and the like."""
    stack = list(reversed(parent))
    while stack:
        element = stack.pop()
        if element.tag in (PARAGRAPH, TABLE):
            yield element
        elif element.tag != FALLBACK:
            stack.extend(reversed(element))


def _text_of(paragraph: Element) -> str:
    """A paragraph's text as it is read; without what was deleted, and without text boxes."""
    parts: list[str] = []
    stack = list(reversed(paragraph))
    while stack:
        element = stack.pop()
        if element.tag == qn("w:t"):
            parts.append(element.text or "")
        elif element.tag in TEXTS:
            parts.append(TEXTS[element.tag])
        elif element.tag not in (BOX, FALLBACK, qn("w:pPr"), qn("w:del"), qn("w:moveFrom")):
            stack.extend(reversed(element))
    return "".join(parts)


def _boxes(paragraph: Element) -> Iterator[Element]:
    """Text boxes that hang on a paragraph; the drawings for old programs hold them again."""
    stack = list(reversed(paragraph))
    while stack:
        element = stack.pop()
        if element.tag == BOX:
            yield element
        elif element.tag != FALLBACK:
            stack.extend(reversed(element))


def _cells(table: Element) -> list[list[str]]:
    """The rows; a cell over several columns stands in the first, one over several rows in each."""
    rows: list[list[str]] = []
    for row in table.iterchildren(ROW):
        cells: list[str] = []
        for cell in row.iterchildren(CELL):
            properties = cell.tcPr
            text = " ".join(_text_of(paragraph) for paragraph in cell.iter(PARAGRAPH))
            merged = properties.find(qn("w:vMerge")) if properties is not None else None
            if merged is not None and merged.get(qn("w:val")) != "restart" and rows:
                text = rows[-1][len(cells)] if len(cells) < len(rows[-1]) else text
            cells.append(text)
            span = (
                properties.gridSpan.val
                if properties is not None and properties.gridSpan is not None
                else 1
            )
            cells += [""] * min(span - 1, 100)
        rows.append(cells)
    return rows
