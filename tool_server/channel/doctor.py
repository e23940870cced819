"""The whole examination of an account: what `checks` looks at, and callbacks by way of the public address.

Called by `shenqiao doctor --wecom`, by `POST /channel/accounts/<name>/check`, and each hour by the worker's `checkup`.
"""

import secrets
import time
from collections.abc import Iterator

import httpx

from tool_server.channel import wxxml
from tool_server.channel.account import Account, WeComApp, WeComBotSocket
from tool_server.channel.checks import Check, check_dify, check_platform
from tool_server.channel.self_test import SELF_TEST, USER
from tool_server.channel.wxcrypt import CryptoError
from tool_server.settings import Settings

# The platform waits one second for the answer of an address check (90238), five for that of a message.
ADDRESS_S = 1.0
CALLBACK_S = 5.0


def examine(settings: Settings, name: str, account: Account, user: str = "") -> list[Check]:
    """All checks of the account called `name`; `user` is somebody who should be able to use it."""
    return [
        *check_platform(settings, account, user),
        *check_callbacks(settings, name, account),
        *check_dify(settings, account),
    ]


def check_callbacks(settings: Settings, name: str, account: Account) -> list[Check]:
    """Callbacks of our own, signed as the platform signs them, sent to where the platform sends them."""
    if isinstance(account, WeComBotSocket):
        return []
    address = public_address(settings, name)
    if not address:
        note = "SHENQIAO_CHANNEL_PUBLIC_URL is not set: callbacks could not be tried."
        return [Check("callback", ok=True, advice=note)]
    with httpx.Client(timeout=CALLBACK_S, trust_env=False) as http:
        return list(_callbacks(http, address, account))


def public_address(settings: Settings, name: str) -> str:
    """The callback URL of an account, as it stands in the console; empty where the public address is not set."""
    public = settings.channel_public_url.rstrip("/")
    if "{account}" in public:
        return public.replace("{account}", name)
    return public and f"{public}/channel/{name}/callback"


def _callbacks(http: httpx.Client, address: str, account: Account) -> Iterator[Check]:
    found = _try_address(http, address, account)
    yield Check("address", ok=not found, advice=found)
    if not found and isinstance(account, WeComApp):
        found = _try_message(http, address, account)
        yield Check("callback", ok=not found, advice=found)


def _try_address(http: httpx.Client, address: str, account: Account) -> str:
    """The GET check of the console; what is wrong with its answer."""
    said = secrets.token_hex(8)
    sealed = account.crypt.seal(said, timestamp=str(int(time.time())), nonce=secrets.token_hex(8))
    query = _signed(sealed.signature, sealed.timestamp, sealed.nonce) | {"echostr": sealed.encrypt}
    started = time.monotonic()
    try:
        answer = http.get(address, params=query)
    except httpx.HTTPError:
        return f"Nobody answers at {address}."
    if (fault := _status(answer.status_code)) or answer.text != said:
        return fault or "What answers there is not this server, or it has other secrets."
    took = time.monotonic() - started
    return f"The answer took {took:.1f} s; the platform waits 1 s." if took > ADDRESS_S else ""


def _try_message(http: httpx.Client, address: str, account: WeComApp) -> str:
    """An event of our own; the server shows with its sealed answer that it arrived. What is wrong with it."""
    said, now = secrets.token_hex(8), str(int(time.time()))
    fields = {
        "ToUserName": account.corp_id,
        "FromUserName": USER,
        "CreateTime": now,
        "MsgType": "event",
        "Event": SELF_TEST,
        "EventKey": said,
        "AgentID": str(account.agent_id),
    }
    inner = "".join(f"<{key}>{wxxml.cdata(value)}</{key}>" for key, value in fields.items())
    sealed = account.crypt.seal(f"<xml>{inner}</xml>", timestamp=now, nonce=secrets.token_hex(8))
    try:
        answer = http.post(
            address,
            params=_signed(sealed.signature, sealed.timestamp, sealed.nonce),
            content=f"<xml><Encrypt>{wxxml.cdata(sealed.encrypt)}</Encrypt></xml>",
        )
    except httpx.HTTPError:
        return f"Nobody answers at {address} within {CALLBACK_S:.0f} s."
    if fault := _status(answer.status_code):
        return fault
    return "" if _heard(account, answer.content) == said else "The event did not arrive here."


def _heard(account: WeComApp, body: bytes) -> str:
    """What the server read in the event."""
    try:
        outer = wxxml.parse(body)
        inner = account.crypt.open(
            outer.get("Encrypt", ""),
            signature=outer.get("MsgSignature", ""),
            timestamp=outer.get("TimeStamp", ""),
            nonce=outer.get("Nonce", ""),
        )
        return wxxml.parse(inner).get("Content", "")
    except (CryptoError, wxxml.XmlError):
        return ""


def _status(status: int) -> str:
    if status == 200:
        return ""
    if status == 403:
        return (
            "The callback is refused: `corp_id`, `token` or `encoding_aes_key` differ there, the server's clock is"
            " wrong, or the account is disabled."
        )
    return f"The address answers with the status {status}: do proxy and Dify pass callbacks on?"


def _signed(signature: str, timestamp: str, nonce: str) -> dict[str, str]:
    return {"msg_signature": signature, "timestamp": timestamp, "nonce": nonce}
