"""The text of a document that a person sends, as Dify's document extractor gives it; used by `nodes`."""

import io
from collections.abc import Callable, Mapping

import docx
import pypdfium2
from charset_normalizer import from_bytes


class UnreadableDocument(Exception):
    """A type that cannot be read, or a file that is not what its name says."""


def text_of(ending: str, data: bytes) -> str:
    """`ending` with its dot. Raises `UnreadableDocument`."""
    read = READERS.get(ending.lower())
    if read is None:
        raise UnreadableDocument(f"Unsupported Extension Type: {ending}")
    try:
        return read(data)
    except Exception as error:  # libraries for strangers' files raise anything
        raise UnreadableDocument(f"Failed to extract text: {error}") from error


def _plain(data: bytes) -> str:
    best = from_bytes(data).best()
    return str(best) if best is not None else ""


def _pdf(data: bytes) -> str:
    with pypdfium2.PdfDocument(data) as document:
        pages = [document[at].get_textpage().get_text_bounded() for at in range(len(document))]
    return "\n".join(pages)


def _word(data: bytes) -> str:
    return "\n".join(part.text for part in docx.Document(io.BytesIO(data)).paragraphs)


PLAIN = (".txt", ".md", ".markdown", ".html", ".htm", ".xml", ".csv", ".json", ".log")
READERS: Mapping[str, Callable[[bytes], str]] = {
    **dict.fromkeys(PLAIN, _plain),
    ".pdf": _pdf,
    ".docx": _word,
}
