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
from tool_server.channel.wecom_api import WeComApi
from tool_server.channel.wecom_errors import SendError, advice
from tool_server.database import Database
from tool_server.settings import Settings

# A check must not keep an administrator waiting.
CHECK_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Check:
    """One thing that was looked at, and what to do where it is not well."""

    name: str
    ok: bool
    advice: str = ""


def check_account(settings: Settings, account: Account) -> list[Check]:
    """What can be known of an account without a message of anybody."""
    return [*check_platform(settings, account), *check_dify(settings, account)]


def check_bot(settings: Settings, database: Database, name: str, account: Account) -> list[Check]:
    """Whether a bot's long connection is up, or can be; nothing for other accounts."""
    if not isinstance(account, WeComBotSocket):
        return []
    advice = check_connection(settings, database, name, account)
    return [Check("connection", not advice, advice)]


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
    except DifyError as error:
        return [Check("dify", ok=False, advice=_dify_advice(error))]
    finally:
        dify.close()
    return [Check("dify", ok=True), _ticket(parameters), _files(parameters)]


def _platform(api: WeComApi, account: WeComApp | WeComKf, user: str) -> Iterator[Check]:
    """The token first: without one nothing else can be asked. It is fetched anew, past what other processes know."""
    try:
        api.token(account)
    except SendError as error:
        yield Check("platform", ok=False, advice=advice(error))
        return
    yield Check("platform", ok=True)
    if isinstance(account, WeComApp):
        yield from _app(api, account)
        if user:
            yield _user(api, account, user)


def _app(api: WeComApi, account: WeComApp) -> Iterator[Check]:
    """agent/get: the first call that the platform takes from trusted addresses only."""
    try:
        agent = api.get(account, "/cgi-bin/agent/get", {"agentid": str(account.agent_id)})
    except SendError as error:
        yield Check("app", ok=False, advice=advice(error))
        return
    yield Check("app", ok=True)
    yield _visible(agent)


def _visible(agent: Mapping[str, Any]) -> Check:
    people = len((agent.get("allow_userinfos") or {}).get("user") or [])
    parties = (agent.get("allow_partys") or {}).get("partyid") or []
    tags = (agent.get("allow_tags") or {}).get("tagid") or []
    if agent.get("close"):
        return Check(
            "visible", ok=False, advice="The app is switched off (已停用) in the WeCom console."
        )
    if not people and not parties and not tags:
        return Check(
            "visible",
            ok=False,
            advice="Nobody sees the app: add people or departments to its 可见范围 (visible range).",
        )
    note = f"{people} people, {len(parties)} departments and {len(tags)} tags see the app."
    return Check("visible", ok=True, advice=note)


def _user(api: WeComApi, account: WeComApp, user: str) -> Check:
    try:
        api.get(account, "/cgi-bin/user/get", {"userid": user})
    except SendError as error:
        return Check("user", ok=False, advice=advice(error))
    return Check("user", ok=True)


def _people(account: WeComBot | WeComBotSocket) -> Check:
    """A bot cannot look anybody up."""
    if account.people_account:
        return Check("people", ok=True)
    note = (
        "Who writes to this bot sees public passages and those opened to them by name: name an account of a"
        " self-built app of the same corp in `people_account`, and their departments count as well."
    )
    return Check("people", ok=True, advice=note)


def _ticket(parameters: Mapping[str, Any]) -> Check:
    if "ticket" in _inputs(parameters):
        return Check("ticket", ok=True)
    return Check(
        "ticket",
        ok=False,
        advice="The app's start node declares no variable `ticket`: it will find public passages only,"
        " and an answer cannot be looked up after a crash.",
    )


def _files(parameters: Mapping[str, Any]) -> Check:
    upload = parameters.get("file_upload") or {}
    image = upload.get("image") or {}
    if upload.get("enabled") or image.get("enabled"):
        return Check("files", ok=True)
    return Check(
        "files", ok=True, advice="The app takes no files: pictures get a sentence instead."
    )


def _dify_advice(error: DifyError) -> str:
    if error.code == "unreachable":
        return "Dify cannot be reached at `dify_url` from this server."
    if error.code == "unauthorized":
        return "Dify refuses `dify_key`: make a new API key of the app."
    return f"Dify answers with the error {error.code}: is the app published?"


def _inputs(parameters: Mapping[str, Any]) -> set[str]:
    """Names of the variables that the app's start node declares."""
    form = parameters.get("user_input_form") or []
    return {str(field.get("variable")) for item in form for field in item.values()}
