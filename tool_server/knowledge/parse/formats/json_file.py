"""JSON: objects with id and text are documents, as in JSON Lines; of others each item is a section of readable text."""

import json
from collections.abc import Iterator

from tool_server.knowledge.document import Document, Section
from tool_server.knowledge.parse.decode import decode
from tool_server.knowledge.parse.entry import entry_of
from tool_server.knowledge.parse.file import File, one_line
from tool_server.knowledge.parse.unreadable import Unreadable

# Keys whose value names an item, where it has one.
NAMES = ("title", "name", "question", "标题", "名称", "问题", "id")
NAME_CHARACTERS = 100


def read(file: File) -> Iterator[Document]:
    """One document, or one for each object that is one."""
    try:
        value = json.loads(decode(file.content))
    except RecursionError:
        raise Unreadable("it is nested too deep") from None
    except json.JSONDecodeError as error:
        raise Unreadable(f"it is not JSON: {error}") from None
    except ValueError:  # Python reads no number of more than some thousand digits
        raise Unreadable("it holds a number that is too long") from None
    items = value if isinstance(value, list) else [value]
    if items and all(_is_document(item) for item in items):
        yield from _documents(file, items)
    else:
        yield file.document(_sections(value), kind="json")


def _is_document(item: object) -> bool:
    return isinstance(item, dict) and {"id", "text"} <= item.keys()


def _documents(file: File, items: list[object]) -> Iterator[Document]:
    entries = [entry_of(item, f"item {number}") for number, item in enumerate(items, start=1)]
    seen: set[str] = set()
    for number, entry in enumerate(entries, start=1):
        if entry.id in seen:
            raise Unreadable(f"item {number}: the id {entry.id!r} comes twice")
        seen.add(entry.id)
    if sum(len(entry.text) for entry in entries) > file.limits.characters:
        raise Unreadable(f"it holds more than {file.limits.characters} characters of text")
    for entry in entries:
        yield entry.document(file.source_id, "json")


def _sections(value: object) -> Iterator[Section]:
    """A section for each item of a list, and for each key of an object that holds more than a value."""
    if isinstance(value, list):
        for number, item in enumerate(value, start=1):
            yield Section(_name(item) or f"#{number}", "\n".join(_lines(item, "")))
    elif isinstance(value, dict):
        plain = {key: part for key, part in value.items() if not isinstance(part, dict | list)}
        yield Section("", "\n".join(_lines(plain, "")))
        for key, part in value.items():
            if isinstance(part, list) and any(isinstance(item, dict) for item in part):
                for section in _sections(part):
                    yield Section(f"{one_line(key)} › {section.heading}", section.text)
            elif isinstance(part, dict | list):
                yield Section(one_line(key), "\n".join(_lines(part, "")))
    else:
        yield Section("", "\n".join(_lines(value, "")))


def _lines(value: object, path: str) -> Iterator[str]:
    """ "address.city: Paris", one a line, deepest keys with their whole path."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _lines(part, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        if all(not isinstance(part, dict | list) for part in value):
            yield from _lines("; ".join(_plain(part) for part in value), path)
            return
        for number, part in enumerate(value, start=1):
            yield from _lines(part, f"{path}[{number}]")
    elif text := _plain(value):
        yield f"{path}: {text}" if path else text


def _plain(value: object) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _name(item: object) -> str:
    if not isinstance(item, dict):
        return ""
    named = (item[key] for key in NAMES if isinstance(item.get(key), str | int))
    return one_line(str(next(named, "")))[:NAME_CHARACTERS]
