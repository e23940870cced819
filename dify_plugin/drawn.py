"""Pictures that the tool server drew, as files for Dify; used by both tools of pictures."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from dify_plugin.faults import NO_PICTURES, ServerError
from dify_plugin.shapes import Pages

ENDINGS = {"image/png": ".png", "image/jpeg": ".jpg"}
NAME_CHARACTERS = 60


@dataclass(frozen=True)
class Drawn:
    """A picture with the name and type that Dify shows."""

    name: str
    mime: str
    data: bytes

    @property
    def meta(self) -> dict[str, str]:
        return {"mime_type": self.mime, "filename": self.name}


def marks_of(parameters: Mapping[str, Any]) -> str:
    """The marks as JSON; a list is taken as it is. Raises `ServerError`."""
    marks = parameters.get("marks")
    text = marks if isinstance(marks, str) else json.dumps(marks or "", ensure_ascii=False)
    if not text.strip() or text == '""':
        raise ServerError("marks: enter a JSON list of boxes, arrows and captions.")
    return text


def drawn(data: bytes, content_type: str, name: str) -> Drawn:
    """A picture that came back for one of this name. Raises `ServerError` for what is none."""
    mime = content_type.partition(";")[0].strip()
    if mime not in ENDINGS:
        raise ServerError(NO_PICTURES)
    stem = PurePosixPath(name).stem
    return Drawn(_named(stem, "picture", "-marked" + ENDINGS[mime]), mime, data)


def pages_of(answer: Pages, title: str) -> list[Drawn]:
    """The pages, numbered where there are several. Raises `ServerError` for what is none."""
    ending = ENDINGS.get(answer.type)
    if ending is None:
        raise ServerError(NO_PICTURES)
    several = len(answer.pages) > 1
    found = []
    for number, page in enumerate(answer.pages, start=1):
        behind = f"-{number}{ending}" if several else ending
        try:
            data = base64.b64decode(page, validate=True)
        except binascii.Error:
            raise ServerError(NO_PICTURES) from None
        found.append(Drawn(_named(title, "answer", behind), answer.type, data))
    return found


def _named(name: str, otherwise: str, ending: str) -> str:
    """A file's name without what file systems and addresses do not take."""
    letters = "".join(one if one.isalnum() or one in "-_" else " " for one in name)
    stem = "-".join(letters.split())[:NAME_CHARACTERS]
    return (stem or otherwise) + ending
