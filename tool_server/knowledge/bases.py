"""What is set for one knowledge base: who may see it, how its fields count; kept in the catalogue, read by `search`."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from tool_server.knowledge.rights import PUBLIC, RIGHT


def right(value: str) -> str:
    if not RIGHT.fullmatch(value):
        raise ValueError(
            "write public, user:<account>/<user>, department:<account>/<number> or group:<account>/<chat>"
        )
    return value


type Right = Annotated[str, AfterValidator(right)]


class Profile(BaseModel):
    """A base that nobody set anything for is public and weighs its fields as the settings say."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    access: tuple[Right, ...] = Field((PUBLIC,), min_length=1, max_length=1000)
    title_weight: float | None = Field(None, ge=0, le=10)
    content_weight: float = Field(1.0, gt=0, le=10)
