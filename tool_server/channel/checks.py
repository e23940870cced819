"""Live checks of an account when it is saved: what works, what is missing, in sentences; for routes and commands.

`doctor` has the checks that need the server's public address. What is fine but could be more is a note: a check that
is ok and says something.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tool_server.channel.account import Account, WeComApp, WeComBot, WeComBotSocket, WeComKf
from tool_server.channel.bot_socket.check import check_connection
from tool_server.channel.dify import Dify, DifyError
from tool_server.channel.said import Said
from tool_server.channel.wecom_api import WeComApi
from tool_server.channel.wecom_errors import SendError, advice
from tool_server.database import Database
from tool_server.settings import Settings

# A check must not keep an administrator waiting.
CHECK_TIMEOUT_S = 5.0
# Dify's modes of apps that have no conversations.
WITHOUT_CHAT = ("workflow", "completion")
NOTHING = Said()
SWITCHED_OFF = Said(
    "The app is switched off (已停用) in the WeCom console.", "应用在企业微信后台已停用。"
)
NOBODY_SEES = Said(
    "Nobody sees the app: add people or departments to its 可见范围 (visible range).",
    "没有人能看到这个应用：请在“可见范围”中添加成员或部门。",
)
NO_DEPARTMENTS = Said(
    "Who writes to this bot sees public passages and those opened to them by name: name an account of a"
    " self-built app of the same corp in `people_account`, and their departments count as well.",
    "写给机器人的人只能看到公开的和直接授权给本人的内容。在 `people_account` 中填写同一企业自建应用的账号，"
    "部门权限也会生效。",
)
NO_TICKET = Said(
    "The app's start node declares no variable `ticket`: it will find public passages only,"
    " and an answer cannot be looked up after a crash.",
    "应用的开始节点没有声明变量 `ticket`：只能找到公开的内容，崩溃后也无法找回回答。",
)
NO_FILES = Said(
    "The app takes no files: pictures get a sentence instead.",
    "应用不接收文件：收到图片时只会回复一句话。",
)
NO_CHAT = Said(
    "This app has no conversations (Dify calls it a workflow or a completion app): nobody can chat with it."
    " Take a chatflow, a chatbot or an agent.",
    "这个应用没有对话（工作流或文本生成应用），不能用来聊天。请换成对话流（Chatflow）、聊天助手或智能体。",
)
NO_DIFY = Said(
    "Dify cannot be reached at `dify_url` from this server.",
    "本服务器连接不上 `dify_url` 的 Dify。",
)
NO_DIFY_KEY = Said(
    "Dify refuses `dify_key`: make a new API key of the app.",
    "Dify 不接受 `dify_key`：请为应用新建一个 API 密钥。",
)


@dataclass(frozen=True)
class Check:
    """One thing that was looked at, and what to do where it is not well."""

    name: str
    ok: bool
    advice: str = ""
    advice_zh: str = ""

    @classmethod
    def wrong(cls, name: str, said: Said) -> "Check":
        return cls(name, ok=False, advice=said.en, advice_zh=said.zh)

    @classmethod
    def well(cls, name: str, said: Said = NOTHING) -> "Check":
        """What is fine, with a note where there is something to say."""
        return cls(name, ok=True, advice=said.en, advice_zh=said.zh)

    @property
    def said(self) -> Said:
        return Said(self.advice, self.advice_zh)


def check_account(settings: Settings, account: Account) -> list[Check]:
    """What can be known of an account without a message of anybody."""
    return [*check_platform(settings, account), *check_dify(settings, account)]


def check_bot(settings: Settings, database: Database, name: str, account: Account) -> list[Check]:
    """Whether a bot's long connection is up, or can be; nothing for other accounts."""
    if not isinstance(account, WeComBotSocket):
        return []
    advice = check_connection(settings, database, name, account)
    return [Check("connection", not advice, advice, advice)]


def check_platform(settings: Settings, account: Account, user: str = "") -> list[Check]:
    """Whether the platform takes us for this app, from this address; whom the app sees, `user` among them if named."""
    if isinstance(account, WeComBot | WeComBotSocket):
        return [_people(account)]
    if not isinstance(account, WeComApp | WeComKf):
        return []
    api = WeComApi(settings.channel_wecom_url, timeout_s=CHECK_TIMEOUT_S)
    try:
        return list(_platform(api, account, user))
    finally:
        api.close()


def check_dify(settings: Settings, account: Account) -> list[Check]:
    """Whether the app answers, and which guarantees it gives."""
    dify = Dify(ask_timeout_s=settings.channel_ask_timeout_s)
    try:
        parameters = dify.parameters(account)
        mode = dify.mode(account)
    except DifyError as error:
        return [Check.wrong("dify", _dify_advice(error))]
    finally:
        dify.close()
    if mode in WITHOUT_CHAT:
        return [Check.wrong("dify", NO_CHAT)]
    return [Check.well("dify"), _ticket(parameters), _files(parameters)]


def _platform(api: WeComApi, account: WeComApp | WeComKf, user: str) -> Iterator[Check]:
    """The token first: without one nothing else can be asked. It is fetched anew, past what other processes know."""
    try:
        api.token(account)
    except SendError as error:
        yield Check.wrong("platform", advice(error))
        return
    yield Check.well("platform")
    if isinstance(account, WeComApp):
        yield from _app(api, account)
        if user:
            yield _user(api, account, user)


def _app(api: WeComApi, account: WeComApp) -> Iterator[Check]:
    """agent/get: the first call that the platform takes from trusted addresses only."""
    try:
        agent = api.get(account, "/cgi-bin/agent/get", {"agentid": str(account.agent_id)})
    except SendError as error:
        yield Check.wrong("app", advice(error))
        return
    yield Check.well("app")
    yield _visible(agent)


def _visible(agent: Mapping[str, Any]) -> Check:
    people = len((agent.get("allow_userinfos") or {}).get("user") or [])
    parties = (agent.get("allow_partys") or {}).get("partyid") or []
    tags = (agent.get("allow_tags") or {}).get("tagid") or []
    if agent.get("close"):
        return Check.wrong("visible", SWITCHED_OFF)
    if not people and not parties and not tags:
        return Check.wrong("visible", NOBODY_SEES)
    note = Said(
        f"{people} people, {len(parties)} departments and {len(tags)} tags see the app.",
        f"可见范围：{people} 人、{len(parties)} 个部门、{len(tags)} 个标签。",
    )
    return Check.well("visible", note)


def _user(api: WeComApi, account: WeComApp, user: str) -> Check:
    try:
        api.get(account, "/cgi-bin/user/get", {"userid": user})
    except SendError as error:
        return Check.wrong("user", advice(error))
    return Check.well("user")


def _people(account: WeComBot | WeComBotSocket) -> Check:
    """A bot cannot look anybody up."""
    if account.people_account:
        return Check.well("people")
    return Check.well("people", NO_DEPARTMENTS)


def _ticket(parameters: Mapping[str, Any]) -> Check:
    if "ticket" in _inputs(parameters):
        return Check.well("ticket")
    return Check.wrong("ticket", NO_TICKET)


def _files(parameters: Mapping[str, Any]) -> Check:
    upload = parameters.get("file_upload") or {}
    image = upload.get("image") or {}
    if upload.get("enabled") or image.get("enabled"):
        return Check.well("files")
    return Check.well("files", NO_FILES)


def _dify_advice(error: DifyError) -> Said:
    if error.code == "unreachable":
        return NO_DIFY
    if error.code == "unauthorized":
        return NO_DIFY_KEY
    return Said(
        f"Dify answers with the error {error.code}: is the app published?",
        f"Dify 返回错误 {error.code}：应用发布了吗？",
    )


def _inputs(parameters: Mapping[str, Any]) -> set[str]:
    """Names of the variables that the app's start node declares."""
    form = parameters.get("user_input_form") or []
    return {str(field.get("variable")) for item in form for field in item.values()}
