"""Which part of a long list a request asks for; for the routes that list."""

from flask import request
from pydantic import BaseModel, ConfigDict, Field


class Page(BaseModel):
    """`?base=…&offset=…&limit=…`; without a base those of all bases."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: str | None = None
    offset: int = Field(0, ge=0, le=10_000_000)
    limit: int = Field(100, ge=1, le=1000)

    @classmethod
    def asked(cls) -> "Page":
        return cls.model_validate(request.args.to_dict())
