"""What goes from a workflow to the tool server besides questions: cards, and files of Dify; for the tools."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dify_plugin.file.file import File

from dify_plugin.server import FILE_LIMIT, ServerError, ask

FETCH_S = 30.0
FILES = 5
BUTTONS = re.compile(r"[\n|｜]+")
NO_TICKET = (
    'ticket: choose the start variable "ticket"; only a message from WeChat has one, '
    "so in a test run of Dify's there is nobody to send to."
)
NOT_FETCHED = (
    "{name}: Dify's file cannot be fetched; check FILES_URL and INTERNAL_FILES_URL of Dify."
)


@dataclass(frozen=True)
class Place:
    """Whose message this belongs to. `app` and `conversation` are Dify's: the server binds the ticket to them."""

    ticket: str
    app: str
    conversation: str

    @classmethod
    def of(cls, parameters: Mapping[str, Any], *, app: str, conversation: str) -> Place:
        """Raises `ServerError` where there is no ticket."""
        ticket = str(parameters.get("ticket") or "").strip()
        if not ticket:
            raise ServerError(NO_TICKET)
        return cls(ticket, app, conversation)


@dataclass(frozen=True)
class Card:
    """What a card shows."""

    title: str
    text: str
    link: str
    buttons: list[str]

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> Card:
        """The server looks at what is in it."""
        title, text, link, buttons = (
            str(parameters.get(name) or "").strip() for name in ("title", "text", "link", "buttons")
        )
        asks = [part.strip() for part in BUTTONS.split(buttons) if part.strip()]
        return cls(title, text, link, asks)


@dataclass(frozen=True)
class Upload:
    """A file with its name."""

    name: str
    data: bytes

    @property
    def part(self) -> tuple[str, bytes]:
        """As a part of a form."""
        return (self.name, self.data)


def files_of(parameters: Mapping[str, Any], name: str) -> list[File]:
    """The files of a parameter, one or several. Raises `ServerError`, which names it."""
    value = parameters.get(name)
    files = value if isinstance(value, Sequence) else [value]
    if not files or not all(isinstance(file, File) for file in files):
        raise ServerError(f"{name}: choose a file of the workflow.")
    if len(files) > FILES:
        raise ServerError(f"{name}: at most {FILES} files at once.")
    return list(files)


def fetched(file: File, name: str) -> Upload:
    """A file from Dify, of bounded size and without its address in any error. Raises `ServerError`."""
    try:
        answer = ask("GET", file.url, deadline_s=FETCH_S, limit=FILE_LIMIT, follow_redirects=True)
    except ServerError:
        raise ServerError(NOT_FETCHED.format(name=name)) from None
    if answer.status != 200:
        raise ServerError(NOT_FETCHED.format(name=name))
    return Upload(file.filename or f"file{file.extension or ''}", answer.body)
