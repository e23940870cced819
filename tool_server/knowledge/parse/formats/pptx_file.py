"""PowerPoint: a section for each slide, with its title, texts, tables and notes."""

import io
from collections.abc import Iterable, Iterator

from pptx import Presentation
from pptx.enum.shapes import PP_PLACEHOLDER
from pptx.shapes.base import BaseShape
from pptx.shapes.group import GroupShape
from pptx.slide import Slide

from tool_server.knowledge.document import Document, Section
from tool_server.knowledge.parse.file import File, one_line
from tool_server.knowledge.parse.properties import properties_of
from tool_server.knowledge.parse.rows import Counter, table_text
from tool_server.knowledge.parse.unreadable import Unreadable

MARGINS = (
    PP_PLACEHOLDER.DATE,
    PP_PLACEHOLDER.FOOTER,
    PP_PLACEHOLDER.SLIDE_NUMBER,
    PP_PLACEHOLDER.HEADER,
)


def read(file: File) -> Iterator[Document]:
    """One document."""
    show = Presentation(io.BytesIO(file.content))
    count = len(show.slides)
    if count > file.limits.pages:
        raise Unreadable(f"it has {count} slides, more than {file.limits.pages}")
    counter = Counter(file.limits)
    sections = [
        _section(slide, number, counter) for number, slide in enumerate(show.slides, start=1)
    ]
    metadata = {
        **properties_of(file.content),
        "pages": float(count),
    }
    yield file.document(sections, kind="pptx", metadata=metadata)


def _section(slide: Slide, number: int, counter: Counter) -> Section:
    title = slide.shapes.title
    heading = one_line(title.text_frame.text) if title is not None else ""
    parts = [_text(shape, counter) for shape in _leaves(slide.shapes) if shape is not title]
    if title is not None:
        parts = [
            _text(shape, counter)
            for shape in _leaves(slide.shapes)
            if shape.shape_id != title.shape_id
        ]
    if slide.has_notes_slide and (notes := slide.notes_slide.notes_text_frame) is not None:
        parts.append(notes.text)
    text = "\n\n".join(part.strip() for part in parts if part.strip())
    return Section(heading, text or heading, number)


def _leaves(shapes: Iterable[BaseShape]) -> Iterator[BaseShape]:
    """The shapes, and those in groups."""
    stack = list(reversed(list(shapes)))
    while stack:
        shape = stack.pop()
        if isinstance(shape, GroupShape):
            stack.extend(reversed(list(shape.shapes)))
        elif not (shape.is_placeholder and shape.placeholder_format.type in MARGINS):
            yield shape


def _text(shape: BaseShape, counter: Counter) -> str:
    table = getattr(shape, "table", None) if getattr(shape, "has_table", False) else None
    if table is not None:
        return table_text([[cell.text for cell in row.cells] for row in table.rows], counter)
    frame = getattr(shape, "text_frame", None) if shape.has_text_frame else None
    if frame is None:
        return ""
    return "\n".join(
        one_line(paragraph.text) for paragraph in frame.paragraphs if paragraph.text.strip()
    )
