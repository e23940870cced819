"""JSON Lines: one document a line, with its own metadata and rights."""

import json
from collections.abc import Iterator

from tool_server.knowledge.document import Document
from tool_server.knowledge.parse.decode import decode
from tool_server.knowledge.parse.entry import Entry, entry_of
from tool_server.knowledge.parse.file import File
from tool_server.knowledge.parse.unreadable import Unreadable


def read(file: File) -> Iterator[Document]:
    """One document a line. A line that is wrong refuses the file, with its number, before any document comes."""
    text = decode(file.content)
    seen: set[str] = set()
    characters = 0
    for number, entry in _entries(text):
        if entry.id in seen:
            raise Unreadable(f"line {number}: the id {entry.id!r} comes twice")
        seen.add(entry.id)
        characters += len(entry.text)
        if characters > file.limits.characters:
            raise Unreadable(f"it holds more than {file.limits.characters} characters of text")
    if not seen:
        raise Unreadable("it is empty")
    # Read again rather than held: a large file's entries would take more memory than its text.
    for _, entry in _entries(text):
        yield entry.document(file.source_id, "jsonl")


def _entries(text: str) -> Iterator[tuple[int, Entry]]:
    begin, number = 0, 0
    while begin < len(text):
        end = text.find("\n", begin)
        end = len(text) if end < 0 else end
        line, begin, number = text[begin:end], end + 1, number + 1
        if line.strip():
            yield number, entry_of(_json(line, number), f"line {number}")


def _json(line: str, number: int) -> object:
    try:
        loaded: object = json.loads(line)
    except (ValueError, RecursionError):  # some JSON is too much for Python's parser
        raise Unreadable(f"line {number} is not JSON") from None
    return loaded
