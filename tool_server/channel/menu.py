"""An app's menu: up to three buttons, each of which may have up to five below it; entered with the account.

Limits: developer.work.weixin.qq.com, document 90231 (menu/create). Clicks come back as events.
"""

import json
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

BUTTONS = 3
SUB_BUTTONS = 5
NAME_BYTES = 16
KEY_BYTES = 128
URL_BYTES = 1024


def _within(limit: int) -> AfterValidator:
    def check(value: str) -> str:
        if not value.strip() or len(value.encode()) > limit:
            raise ValueError(f"must have 1 to {limit} bytes; a Chinese character has 3")
        return value

    return AfterValidator(check)


class Item(BaseModel):
    """A button that does something: `key` comes back as a click, `url` opens a page."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, _within(NAME_BYTES)]
    key: Annotated[str, _within(KEY_BYTES)] | None = None
    url: Annotated[str, Field(pattern="^https?://"), _within(URL_BYTES)] | None = None

    @model_validator(mode="after")
    def _does_something(self) -> "Item":
        if (self.key is None) == (self.url is None):
            raise ValueError("give a button either key or url")
        return self

    def wire(self) -> dict[str, Any]:
        if self.key is not None:
            return {"type": "click", "name": self.name, "key": self.key}
        return {"type": "view", "name": self.name, "url": self.url}


class Group(BaseModel):
    """A button that opens others."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, _within(NAME_BYTES)]
    below: tuple[Item, ...] = Field(min_length=1, max_length=SUB_BUTTONS)

    def wire(self) -> dict[str, Any]:
        return {"name": self.name, "sub_button": [item.wire() for item in self.below]}


type Menu = Annotated[tuple[Group | Item, ...], Field(max_length=BUTTONS)]


def wire(menu: Sequence[Group | Item]) -> str:
    """The body of menu/create."""
    return json.dumps({"button": [button.wire() for button in menu]}, ensure_ascii=False)
