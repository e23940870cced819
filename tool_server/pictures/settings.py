"""Settings of the pictures that tools have drawn; a part of `tool_server.settings`."""

from pydantic import BaseModel, Field


class PicturesSettings(BaseModel):
    """What a picture may cost, and which font it is drawn with."""

    font: str = Field(
        "",
        max_length=1000,
        description="Font file with Chinese characters (TTF, OTF, TTC) for pictures; empty: a usual one of the system.",
    )
    pictures_input_bytes: int = Field(
        10 * 1024 * 1024, ge=1024, description="Bytes of a picture that is sent to be marked."
    )
    pictures_pixels: int = Field(
        40_000_000,
        ge=10_000,
        le=89_000_000,
        description="Pixels of such a picture; unpacked, each takes 4 bytes.",
    )
    pictures_side: int = Field(
        2048, ge=256, le=4096, description="Longest side of a marked picture, in pixels."
    )
    pictures_characters: int = Field(
        20_000,
        ge=100,
        le=200_000,
        description="Characters of a text that is drawn; the rest is cut.",
    )
    pictures_pages: int = Field(
        6, ge=1, le=20, description="Pages that a long text may take; the rest is cut."
    )
    pictures_seconds: int = Field(
        20, ge=1, le=120, description="Seconds that drawing one picture may take."
    )
    pictures_memory_mb: int = Field(
        1024, ge=256, description="Memory that drawing one picture may take, in MB."
    )
    pictures_at_once: int = Field(
        2, ge=1, le=64, description="Pictures that are drawn at once; one more is answered 429."
    )
