"""One WeChat account as it is entered and used: what all surfaces need, and one class per surface."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    field_serializer,
    field_validator,
)

from tool_server.channel.menu import Menu
from tool_server.channel.wxcrypt import WxCrypt, decode_key
from tool_server.words import Language


def _callback_token(value: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[A-Za-z0-9]{1,32}", value.get_secret_value()):
        raise ValueError("must be 1 to 32 letters and digits, as the console made it")
    return value


def _aes_key(value: SecretStr) -> SecretStr:
    decode_key(value.get_secret_value())
    return value


type CallbackToken = Annotated[SecretStr, AfterValidator(_callback_token)]
type AesKey = Annotated[SecretStr, AfterValidator(_aes_key)]
# The account whose app may look up the people that write to a bot.
type PeopleAccount = Annotated[str, Field(pattern=r"^[a-z0-9_-]{0,64}$")]
# An endpoint of package A, as Dify shows it: the address of any of its paths stands for all of them.
ENDPOINT_PATHS = ("/callback", "/status")


def _endpoint(value: str) -> str:
    url = value.strip().rstrip("/")
    parts = urlsplit(url)
    if url and (parts.scheme not in ("http", "https") or not parts.hostname or parts.query):
        raise ValueError("must be the endpoint's address in Dify, such as https://dify.example/e/…")
    for path in ENDPOINT_PATHS:
        url = url.removesuffix(path)
    return url


type EndpointUrl = Annotated[str, Field(max_length=500), AfterValidator(_endpoint)]
type CorpId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class Access(BaseModel):
    """Who may ask, and how much; empty lists let everybody in whom the platform lets in."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    users: tuple[str, ...] = ()
    departments: tuple[int, ...] = ()
    admins: tuple[str, ...] = ()
    groups: Literal["answer", "ignore"] = "answer"
    daily_questions: int = Field(
        0, ge=0, description="Questions of one person a day; 0 is no bound."
    )


class Account(BaseModel):
    """What every surface needs; `model_dump` never shows a secret."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    surface: str
    dify_url: str
    dify_key: SecretStr
    language: Language = "zh"
    ai_label: bool = False
    enabled: bool = True
    access: Access = Access()
    # The address of this account's endpoint in Dify, where people reach no other; empty: the server's own.
    public_url: EndpointUrl = ""

    @field_validator("dify_url")
    @classmethod
    def _http_url(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be the Service API's address, such as http://dify.example/v1")
        return value.rstrip("/")

    @field_serializer("*", when_used="json", check_fields=False)
    def _blind(self, value: object) -> object:
        return "…" if isinstance(value, SecretStr) else value

    @property
    def crypt(self) -> WxCrypt:
        """The callback crypto; a surface without callbacks has none."""
        raise NotImplementedError

    @property
    def passive(self) -> bool:
        """Whether a passive reply can hold this account's answers."""
        return True


class WeComApp(Account):
    """WeCom self-built app (企业微信自建应用); the receive id of its callbacks is the corp id."""

    surface: Literal["wecom_app"]
    corp_id: CorpId
    agent_id: int = Field(ge=0)
    secret: SecretStr
    token: CallbackToken
    encoding_aes_key: AesKey
    menu: Menu = ()
    # `text` shows no markup but works in WeChat too; `markdown` is shown by WeCom only.
    markup: Literal["text", "markdown"] = "text"
    # Two buttons below each answer, whether it helped.
    feedback: bool = False
    # What the console wants to read at /WW_verify_<this>.txt of the trusted domain; empty for none.
    verify_code: str = Field("", pattern=r"^([A-Za-z0-9]{16})?$")

    @property
    def crypt(self) -> WxCrypt:
        return WxCrypt(
            self.token.get_secret_value(), self.encoding_aes_key.get_secret_value(), self.corp_id
        )

    @property
    def passive(self) -> bool:
        """A passive reply has no markdown (90241)."""
        return self.markup == "text"


class WeComKf(Account):
    """WeCom customer service (微信客服): an app that may use its API, and the service accounts that it answers for."""

    surface: Literal["wecom_kf"]
    corp_id: CorpId
    secret: SecretStr
    token: CallbackToken
    encoding_aes_key: AesKey
    open_kfids: tuple[str, ...] = ()  # empty: all that the app may use
    ai_label: bool = True
    servicer: str = ""  # the userid to whom customers are handed over; empty: the waiting pool
    human_words: tuple[str, ...] = ("转人工", "人工", "人工客服", "human", "/human", "/人工")
    # A menu below each answer, whether it helped; it takes one of the five messages that may answer one.
    feedback: bool = False
    human_marker: str = "[[human]]"  # an answer that holds it hands over; empty: none does

    @property
    def crypt(self) -> WxCrypt:
        return WxCrypt(
            self.token.get_secret_value(), self.encoding_aes_key.get_secret_value(), self.corp_id
        )


class WeComBot(Account):
    """WeCom AI bot (智能机器人) by webhook; the receive id is empty."""

    surface: Literal["wecom_bot"]
    token: CallbackToken
    encoding_aes_key: AesKey
    people_account: PeopleAccount = ""

    @property
    def crypt(self) -> WxCrypt:
        return WxCrypt(self.token.get_secret_value(), self.encoding_aes_key.get_secret_value(), "")


class WeComBotSocket(Account):
    """WeCom AI bot (智能机器人) by long connection: no callback, no public address."""

    surface: Literal["wecom_bot_socket"]
    bot_id: str = Field(min_length=1, max_length=128)
    secret: SecretStr
    people_account: PeopleAccount = ""


CLASSES: dict[str, type[Account]] = {
    "wecom_app": WeComApp,
    "wecom_bot": WeComBot,
    "wecom_bot_socket": WeComBotSocket,
    "wecom_kf": WeComKf,
}


class _Kind(BaseModel):
    surface: Literal["wecom_app", "wecom_bot", "wecom_bot_socket", "wecom_kf"]


def parse_account(values: Mapping[str, object]) -> Account:
    """The account of these values, of its surface's class. Raises pydantic's `ValidationError`."""
    kind = _Kind.model_validate(values)
    return CLASSES[kind.surface].model_validate(values)


def app_of(account: Account) -> tuple[str, ...]:
    """What the platform calls this app or bot by; two accounts of one would answer each other's messages."""
    match account:
        case WeComApp():
            return (account.surface, account.corp_id, str(account.agent_id))
        case WeComBotSocket():
            return (account.surface, account.bot_id)
    return ()


def secret_fields(account: Account) -> list[str]:
    """Names of the fields that are never shown."""
    return [name for name, value in account if isinstance(value, SecretStr)]
