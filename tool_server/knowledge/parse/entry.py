"""A document as a line of JSON Lines, or an object of JSON, gives it: id, title, text, metadata, access."""

import math
import re
from typing import Annotated

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
    field_validator,
)
from pydantic_core import PydanticCustomError

from tool_server.knowledge.document import Document, Section
from tool_server.knowledge.parse.check import (
    KEY_CHARACTERS,
    METADATA_KEYS,
    RIGHTS,
    TITLE_CHARACTERS,
    URL_CHARACTERS,
    VALUE_CHARACTERS,
)
from tool_server.knowledge.parse.file import clean, one_line
from tool_server.knowledge.parse.unreadable import Unreadable
from tool_server.knowledge.rights import RIGHT

SURROGATE = re.compile(r"[\ud800-\udfff]")

type Key = Annotated[str, Field(min_length=1, max_length=KEY_CHARACTERS)]
type Text = Annotated[StrictStr, Field(max_length=VALUE_CHARACTERS)]


class Entry(BaseModel):
    """One document. An `access` list with nothing in it would open to nobody, and is refused."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)

    id: str = Field(min_length=1, max_length=400)
    title: str = Field("", max_length=TITLE_CHARACTERS)
    text: str
    url: str = Field("", max_length=URL_CHARACTERS)
    metadata: dict[Key, Text | StrictInt | StrictFloat] = Field(
        default_factory=dict, max_length=METADATA_KEYS - 1
    )
    access: tuple[str, ...] | None = Field(None, min_length=1, max_length=RIGHTS)

    @field_validator("id", "title", "text", "url")
    @classmethod
    def _is_whole(cls, value: str) -> str:
        if SURROGATE.search(value):
            raise PydanticCustomError("half", "Holds half of a surrogate pair")
        return value

    @field_validator("text")
    @classmethod
    def _says_something(cls, value: str) -> str:
        if not clean(value).strip():
            raise PydanticCustomError("empty", "Must not be empty")
        return value

    @field_validator("metadata")
    @classmethod
    def _is_storable(cls, values: dict[str, str | int | float]) -> dict[str, str | int | float]:
        for key, value in values.items():
            if SURROGATE.search(f"{key}{value}") or (
                isinstance(value, float) and not math.isfinite(value)
            ):
                raise PydanticCustomError("value", "Holds a value that cannot be stored")
            if isinstance(value, int) and abs(value) > 2**53:
                raise PydanticCustomError(
                    "value", "Holds a number that is too large; write it as text"
                )
        return values

    @field_validator("access")
    @classmethod
    def _are_rights(cls, access: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for right in access or ():
            if not RIGHT.fullmatch(right) or SURROGATE.search(right):
                raise PydanticCustomError("right", "Holds a word that is no right")
        return access

    def document(self, source_id: str, kind: str) -> Document:
        return Document(
            f"{source_id}#{self.id}",
            one_line(self.title) or self.id,
            (Section("", clean(self.text).strip()),),
            self.url,
            {"kind": kind, **_values(self.metadata)},
            self.access or (),
        )


def entry_of(value: object, where: str) -> Entry:
    """Raises `Unreadable`, with the place and the field."""
    try:
        return Entry.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "the line"
        raise Unreadable(f"{where}: {field}: {first['msg']}") from None


def _values(metadata: dict[str, str | int | float]) -> dict[str, str | float]:
    """Numbers are one kind, and what another JSON writer calls an integer is the same document."""
    return {
        key: value if isinstance(value, str) else float(value) for key, value in metadata.items()
    }
