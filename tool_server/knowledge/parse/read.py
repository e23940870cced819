"""Reading files into documents: Markdown, text, JSON Lines; called by `ingest`. Whatever cannot be read says why."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from charset_normalizer import from_bytes
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import PydanticCustomError

from tool_server.knowledge.document import Document, Section

HEADING = re.compile(r"^(#{1,6})[ \t]+(.+?)[ \t]*#*[ \t]*$")
FENCE = re.compile(r"[ \t]*(```|~~~)")
SURROGATE = re.compile(r"[\ud800-\udfff]")
# More of these than one in a hundred: the file is not text.
BINARY = re.compile(r"[\x00-\x08\x0e-\x1f\x7f\ufffd]")
BINARY_SHARE = 0.01
# Below this many bytes charset-normalizer takes one Chinese text in five for another language's.
SHORT = 400
# First byte of the last of GB 2312's 3,755 common characters, which make up nearly all of any text.
LAST_COMMON = 0xD7
COMMON_SHARE = 0.9


class Unreadable(Exception):
    """A file that is refused; the sentence says why."""


class _Line(BaseModel):
    """One document of a JSON Lines file."""

    model_config = ConfigDict(extra="allow", coerce_numbers_to_str=True)

    id: str = Field(min_length=1, max_length=400)
    title: str = Field("", max_length=500)
    text: str
    url: str = Field("", max_length=1000)

    @field_validator("id", "title", "text", "url")
    @classmethod
    def _is_whole(cls, value: str) -> str:
        if SURROGATE.search(value):
            raise PydanticCustomError("half", "Holds half of a surrogate pair")
        return value

    @field_validator("text")
    @classmethod
    def _says_something(cls, value: str) -> str:
        if not value.strip():
            raise PydanticCustomError("empty", "Must not be empty")
        return value


def read(path: Path, source_id: str, *, limit: int) -> Iterator[Document]:
    """The documents in a file. Raises `Unreadable`."""
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise Unreadable(f"files of the kind {path.suffix or path.name!r} are not read")
    if path.stat().st_size > limit:
        raise Unreadable(f"it has more than {limit} bytes")
    yield from reader(decode(path.read_bytes()), path, source_id)


def decode(content: bytes) -> str:
    """Text in whatever encoding it was written; Chinese ones included. Raises `Unreadable`."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = _short_chinese(content) or _guess(content)
    if len(BINARY.findall(text)) > len(text) * BINARY_SHARE:
        raise Unreadable("it is not text")
    if not text.strip():
        raise Unreadable("it is empty")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _short_chinese(content: bytes) -> str | None:
    """A short text in GB 18030 (GBK), as Chinese Windows writes it; None where its characters are unusual."""
    if len(content) > SHORT:
        return None
    try:
        text = content.decode("gb18030")
    except UnicodeDecodeError:
        return None
    beyond_ascii = [character for character in text if not character.isascii()]
    common = sum(map(_is_common, beyond_ascii))
    return text if common >= COMMON_SHARE * len(beyond_ascii) else None


def _is_common(character: str) -> bool:
    encoded = character.encode("gb2312", "ignore")
    return bool(encoded) and encoded[0] <= LAST_COMMON


def _guess(content: bytes) -> str:
    best = from_bytes(content).best()
    if best is None:
        raise Unreadable("it is not text")
    return str(best)


def read_markdown(text: str, path: Path, source_id: str) -> Iterator[Document]:
    """One document; a section for each heading, under the path of the headings above it."""
    headings: list[tuple[int, str]] = []
    sections: list[Section] = []
    lines: list[str] = []
    fence = ""

    def close() -> None:
        body = "\n".join(lines).strip()
        if body:
            sections.append(Section(" › ".join(title for _, title in headings), body))
        lines.clear()

    for line in text.split("\n"):
        fence = _fence(fence, line)
        match = None if fence else HEADING.match(line)
        if match is None:
            lines.append(line)
            continue
        close()
        level = len(match[1])
        headings = [heading for heading in headings if heading[0] < level] + [(level, match[2])]
    close()
    if not sections:
        raise Unreadable("it has headings only")
    yield _document(source_id, path, sections)


def _fence(fence: str, line: str) -> str:
    """The fence that is open after this line; only its own kind closes it."""
    match = FENCE.match(line)
    if match is None:
        return fence
    if not fence:
        return match[1]
    return "" if match[1] == fence else fence


def read_text(text: str, path: Path, source_id: str) -> Iterator[Document]:
    yield Document(source_id, path.stem, (Section("", text.strip()),))


def read_json_lines(text: str, _path: Path, source_id: str) -> Iterator[Document]:
    """One document a line. A line that is wrong refuses the file, with its number."""
    seen: set[str] = set()
    documents = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        entry = _line(line, number)
        if entry.id in seen:
            raise Unreadable(f"line {number}: the id {entry.id!r} comes twice")
        seen.add(entry.id)
        section = Section("", entry.text.strip())
        documents.append(
            Document(f"{source_id}#{entry.id}", entry.title or entry.id, (section,), entry.url)
        )
    yield from documents


READERS: Mapping[str, Callable[[str, Path, str], Iterator[Document]]] = {
    ".md": read_markdown,
    ".markdown": read_markdown,
    ".txt": read_text,
    ".jsonl": read_json_lines,
}


def _document(source_id: str, path: Path, sections: list[Section]) -> Document:
    """A single heading above all sections is the document's title, else its file name."""
    tops = {section.heading.split(" › ")[0] for section in sections}
    if len(tops) != 1 or tops == {""}:
        return Document(source_id, path.stem, tuple(sections))
    (title,) = tops
    below = [
        Section(section.heading.removeprefix(title).removeprefix(" › "), section.text)
        for section in sections
    ]
    return Document(source_id, title, tuple(below))


def _line(line: str, number: int) -> _Line:
    try:
        return _Line.model_validate(json.loads(line))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "the line"
        raise Unreadable(f"line {number}: {field}: {first['msg']}") from None
    except (ValueError, RecursionError):  # some JSON is too much for Python's parser
        raise Unreadable(f"line {number} is not JSON") from None
