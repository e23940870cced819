"""The whole examination of an account: what `checks` looks at, and callbacks by way of the public address.

Called by `shenqiao doctor --wecom`, by `POST /channel/accounts/<name>/check`, and each hour by the worker's `checkup`.
"""

import secrets
import time
from collections.abc import Iterator

import httpx

from tool_server.channel import wxxml
from tool_server.channel.account import Account, WeComApp, WeComBotSocket
from tool_server.channel.bot_checks import check_reached
from tool_server.channel.checks import Check, check_dify, check_platform
from tool_server.channel.public import public_of
from tool_server.channel.said import Said
from tool_server.channel.self_test import SELF_TEST, USER
from tool_server.channel.wxcrypt import CryptoError
from tool_server.database import Database
from tool_server.settings import Settings

# The platform waits one second for the answer of an address check (90238), five for that of a message.
ADDRESS_S = 1.0
CALLBACK_S = 5.0
NO_ADDRESS = Said(
    "Neither SHENQIAO_CHANNEL_PUBLIC_URL nor the account's `public_url` is set: callbacks could not be tried.",
    "没有设置 SHENQIAO_CHANNEL_PUBLIC_URL，账号也没有 `public_url`：无法试发回调。",
)
OTHER_SERVER = Said(
    "What answers there is not this server, or it has other secrets.",
    "在那里响应的不是本服务器，或者两边的密钥不同。",
)
NOT_ARRIVED = Said("The event did not arrive here.", "试发的事件没有到达本服务器。")
REFUSED = Said(
    "The callback is refused: `corp_id`, `token` or `encoding_aes_key` differ there, the server's clock is"
    " wrong, or the account is disabled.",
    "回调被拒绝：`corp_id`、`token` 或 `encoding_aes_key` 不一致，服务器时钟不准，或账号已停用。",
)


def examine(
    settings: Settings, database: Database, name: str, account: Account, user: str = ""
) -> list[Check]:
    """All checks of the account called `name`; `user` is somebody who should be able to use it."""
    return [
        *check_platform(settings, account, user),
        *check_callbacks(settings, name, account),
        *check_reached(settings, database, name, account),
        *check_dify(settings, account),
    ]


def check_callbacks(settings: Settings, name: str, account: Account) -> list[Check]:
    """Callbacks of our own, signed as the platform signs them, sent to where the platform sends them."""
    if isinstance(account, WeComBotSocket):
        return []
    address = public_of(settings, name, account).callback
    if not address:
        return [Check.well("callback", NO_ADDRESS)]
    with httpx.Client(timeout=CALLBACK_S, trust_env=False) as http:
        return list(_callbacks(http, address, account))


def _callbacks(http: httpx.Client, address: str, account: Account) -> Iterator[Check]:
    found = _try_address(http, address, account)
    yield _check("address", found)
    if found is None and isinstance(account, WeComApp):
        yield _check("callback", _try_message(http, address, account))


def _check(name: str, found: Said | None) -> Check:
    return Check.wrong(name, found) if found else Check.well(name)


def _try_address(http: httpx.Client, address: str, account: Account) -> Said | None:
    """The GET check of the console; what is wrong with its answer."""
    said = SELF_TEST + secrets.token_hex(8)
    sealed = account.crypt.seal(said, timestamp=str(int(time.time())), nonce=secrets.token_hex(8))
    query = _signed(sealed.signature, sealed.timestamp, sealed.nonce) | {"echostr": sealed.encrypt}
    started = time.monotonic()
    try:
        answer = http.get(address, params=query)
    except httpx.HTTPError:
        return Said(f"Nobody answers at {address}.", f"{address} 没有响应。")
    if (fault := _status(answer.status_code)) or answer.text != said:
        return fault or OTHER_SERVER
    took = time.monotonic() - started
    if took <= ADDRESS_S:
        return None
    return Said(
        f"The answer took {took:.1f} s; the platform waits 1 s.",
        f"响应用了 {took:.1f} 秒，平台只等 1 秒。",
    )


def _try_message(http: httpx.Client, address: str, account: WeComApp) -> Said | None:
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
        return Said(
            f"Nobody answers at {address} within {CALLBACK_S:.0f} s.",
            f"{address} 在 {CALLBACK_S:.0f} 秒内没有响应。",
        )
    if fault := _status(answer.status_code):
        return fault
    return None if _heard(account, answer.content) == said else NOT_ARRIVED


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


def _status(status: int) -> Said | None:
    if status == 200:
        return None
    if status == 403:
        return REFUSED
    return Said(
        f"The address answers with the status {status}: do proxy and Dify pass callbacks on?",
        f"该地址返回状态码 {status}：代理和 Dify 是否转发了回调？",
    )


def _signed(signature: str, timestamp: str, nonce: str) -> dict[str, str]:
    return {"msg_signature": signature, "timestamp": timestamp, "nonce": nonce}
