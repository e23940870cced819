"""The tool server's replies, read once where they arrive; used by `server` and by what makes outputs of them."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class _Reply(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Passage(_Reply):
    """A passage with its source, as the search gives it."""

    content: str
    title: str
    score: float
    document_id: str
    source_id: str
    segment_id: str
    url: str
    base: str
    heading: str = ""
    page: int | None = None
    metadata: dict[str, object] = {}  # the document's own


class Found(_Reply):
    """The search's reply; `found` says whether the passages cover the question."""

    found: bool
    passages: list[Passage]


class Base(_Reply):
    """A knowledge base and its size."""

    name: str
    documents: int
    passages: int


class Bases(_Reply):
    bases: list[Base]


class DocumentText(_Reply):
    """A part of a document; `next_offset` is where the next one begins."""

    document_id: str
    title: str
    url: str
    text: str
    truncated: bool
    next_offset: int | None


class Kept(_Reply):
    """A card or a file that goes out behind the answer; `again`: it was there already."""

    again: bool


class Pages(_Reply):
    """A text as pictures, in base64."""

    pages: list[str]
    type: str
    truncated: bool


class ListedModel(_Reply):
    """One model of the list, with Dify's word for its type."""

    id: str
    type: str = ""


class ListedModels(_Reply):
    data: list[ListedModel]


class Spoken(_Reply):
    content: str | None = None


class Choice(_Reply):
    """What a model said, and why it ended."""

    message: Spoken
    finish_reason: str | None = None


class Completion(_Reply):
    choices: list[Choice] = Field(min_length=1)


class Fault(_Reply):
    """The tool server's error object; a 404 that names a field means a thing, without one the whole route."""

    message: str
    field: str | None = None
    param: str | None = None  # its name below /v1


class Refusal(_Reply):
    error: Fault
