"""What is set for one knowledge base: who may see it, how its fields count; kept in the catalogue, read by `search`."""

from functools import lru_cache

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tool_server.access import Right
from tool_server.knowledge.foreign_index import ForeignIndex
from tool_server.knowledge.rights import PUBLIC


class Profile(BaseModel):
    """A base that nobody set anything for is public and weighs its fields as the settings say."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    access: tuple[Right, ...] = Field((PUBLIC,), min_length=1, max_length=1000)
    title_weight: float | None = Field(None, ge=0, le=10)
    content_weight: float = Field(1.0, gt=0, le=10)
    foreign: ForeignIndex | None = None  # its documents lie in an index of others


@lru_cache(1000)  # each search reads them all; the text changes seldom
def read_profile(text: str) -> Profile | None:
    """A stored profile; None for what cannot be read: such a base opens to nobody."""
    try:
        return Profile.model_validate_json(text)
    except ValidationError:
        return None
