"""The stand-in's configuration file, read once by `__main__`."""

from dataclasses import fields
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from playground.wechat.limits import Limits

type Port = Annotated[int, Field(ge=0, le=65535)]


class Config(BaseModel):
    """One app, where it listens, who uses it; `limits` holds the table's values that are set otherwise."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    platform_port: Port = 0
    phone_port: Port = 0
    corp_id: str
    agent_id: int
    secret: str
    token: str
    encoding_aes_key: Annotated[str, Field(pattern="^[A-Za-z0-9+/]{43}$")]
    callback_url: str = ""
    fresh: bool = True
    visible: tuple[str, ...] = ("*",)
    users: tuple[str, ...] = ()
    suggestions: tuple[str, ...] = ()
    timeline_url: str = ""
    timeline_key: str = ""
    limits: Limits = Limits()


def read_config(values: dict[str, Any]) -> Config:
    """The file's values; a limit's name stands beside the others. Raises `ValidationError`."""
    names = {limit.name for limit in fields(Limits)}
    limits = {name: value for name, value in values.items() if name in names}
    others = {name: value for name, value in values.items() if name not in names}
    return Config.model_validate({**others, "limits": limits})
