"""Live checks of an account when it is saved: what works, what is missing, in sentences; for routes and commands."""

from collections.abc import Mapping
from typing import Any

from tool_server.channel.account import Account
from tool_server.channel.dify import Dify, DifyError
from tool_server.channel.wecom_api import SendError, WeComApi
from tool_server.settings import Settings

# A check must not keep an administrator waiting.
CHECK_TIMEOUT_S = 5.0
IP_FAULT = 60020


def check_account(settings: Settings, account: Account) -> list[dict[str, Any]]:
    """One entry per check: name, ok, and what to do if it is not."""
    return [check_platform(settings, account), *check_dify(settings, account)]


def check_platform(settings: Settings, account: Account) -> dict[str, Any]:
    """Whether corp id and secret give an access token."""
    api = WeComApi(settings.channel_wecom_url, timeout_s=CHECK_TIMEOUT_S)
    try:
        api.token(account)
    except SendError as error:
        return _check("platform", _platform_advice(error))
    finally:
        api.close()
    return _check("platform", "")


def check_dify(settings: Settings, account: Account) -> list[dict[str, Any]]:
    """Whether the app answers, and whether it declares `ticket`, without which it sees public passages only."""
    dify = Dify(ask_timeout_s=settings.channel_ask_timeout_s)
    try:
        parameters = dify.parameters(account)
    except DifyError as error:
        return [_check("dify", _dify_advice(error))]
    finally:
        dify.close()
    missing = (
        ""
        if "ticket" in _inputs(parameters)
        else (
            "The app's start node declares no variable `ticket`: it will find public passages only,"
            " and an answer cannot be looked up after a crash."
        )
    )
    return [_check("dify", ""), _check("ticket", missing)]


def _check(name: str, advice: str) -> dict[str, Any]:
    return {"name": name, "ok": not advice, "advice": advice}


def _platform_advice(error: SendError) -> str:
    if error.code == IP_FAULT:
        return f"Enter this server's address in the app's list of trusted IPs: {error}"
    if error.code == 0:
        return "The WeCom API cannot be reached from this server."
    return f"WeCom refuses corp id or secret (code {error.code})."


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
