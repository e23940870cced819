"""The stand-in's configuration file, read once by `__main__`."""

from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from playground.wechat.kf.service import KfConfig
from playground.wechat.limits import (
    BotLimits,
    BotSocketLimits,
    CallLimits,
    CardLimits,
    Limits,
    MediaLimits,
    OAuthLimits,
)
from playground.wechat.org import OrgConfig

type Port = Annotated[int, Field(ge=0, le=65535)]


class BotSocketConfig(BaseModel):
    """An AI bot by long connection. What the documentation leaves open is set here."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    port: Port = 0
    bot_id: str
    secret: str
    name: str = "助手"
    limits: BotSocketLimits = BotSocketLimits()
    keep_while_away: bool = (
        True  # what is written while nobody is connected waits for the next connection
    )
    redeliver: bool = True  # a new connection gets again what has no answer yet
    fresh_req_id: bool = False  # … under a new req_id
    refreshes_count: bool = False  # frames of a growing stream count into 30 a minute
    finish_again: Literal["ok", "expired"] = (
        "ok"  # the answer to a finished stream's last frame, again
    )
    push_once: bool = False  # a req_id of aibot_send_msg is taken once only
    lose_acks: Annotated[float, Field(ge=0, le=1)] = 0.0  # share of answers that never come
    seed: int = 0


@dataclass(frozen=True)
class Chances:
    """Shares of the refreshes of a bot's streams that meet a fate; `seed` drives them, message by message."""

    seed: int = 0
    lost: float = 0.0  # the request never arrives
    answer_lost: float = 0.0  # it arrives, its answer does not
    doubled: float = 0.0  # the same bytes twice
    swapped: float = 0.0  # it arrives after the next one
    after_finish: float = 0.0  # a finished stream is asked for once more


class BotConfig(BaseModel):
    """An AI bot by webhook, beside the app."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    token: str
    encoding_aes_key: Annotated[str, Field(pattern="^[A-Za-z0-9+/]{43}$")]
    bot_id: str = "aib-playground"
    name: str = "深桥助手"
    callback_url: str = ""
    timeline_url: str = ""
    fresh: bool = True
    flat_events: bool = False  # an event's data beside its type, not in an object of its own
    chances: Chances = Chances()
    limits: BotLimits = BotLimits()


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
    media: MediaLimits = MediaLimits()
    calls: CallLimits = CallLimits()
    org: OrgConfig = OrgConfig()
    oauth: OAuthLimits = OAuthLimits()
    cards: CardLimits = CardLimits()
    trusted_ips: tuple[str, ...] | None = None  # None: the app's list is not used
    bot: BotConfig | None = None
    kf: KfConfig | None = None
    bot_socket: BotSocketConfig | None = None


def read_config(values: dict[str, Any]) -> Config:
    """The file's values; a limit's name stands beside the others. Raises `ValidationError`."""
    names = {limit.name for limit in fields(Limits)}
    limits = {name: value for name, value in values.items() if name in names}
    others = {name: value for name, value in values.items() if name not in names}
    return Config.model_validate({**others, "limits": limits})
