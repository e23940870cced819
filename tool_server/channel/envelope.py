"""Opening a callback: query, time, signature, decryption, in this order, all or nothing; used by the surfaces."""

import base64
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from typing import NoReturn

from tool_server.channel import wxxml
from tool_server.channel.account import Account, WeComApp
from tool_server.channel.surface import Callback, Refused
from tool_server.channel.wxcrypt import CryptoError

# The signature joins its parts without a mark between them. A nonce that may not be long leaves no room to move the
# first 64 characters of the ciphertext (the least that keeps blocks and base64 whole) into it.
NONCE = re.compile(r"[!-~]{1,64}")
TIMESTAMP = re.compile(r"[0-9]{1,10}")


def open_echo(account: Account, callback: Callback) -> str:
    """The text of the address check, a GET; its time is not looked at: it changes nothing and may be tried by hand."""
    return open_encrypted(account, callback, callback.query.get("echostr", ""))


def open_xml(
    account: Account, callback: Callback, *, window_s: int, now: float
) -> Mapping[str, str]:
    """The fields inside a POST. Raises `Refused`."""
    check_time(callback, window_s=window_s, now=now)
    try:
        outer = wxxml.parse(callback.body)
        return wxxml.parse(open_encrypted(account, callback, outer.get("Encrypt", "")))
    except wxxml.XmlError as error:
        raise Refused(str(error)) from None


def open_encrypted(account: Account, callback: Callback, encrypt: str) -> str:
    """What is inside `encrypt`, once the query's signature is right. Raises `Refused`."""
    query = callback.query
    timestamp, nonce = query.get("timestamp", ""), query.get("nonce", "")
    if not TIMESTAMP.fullmatch(timestamp) or not NONCE.fullmatch(nonce):
        raise Refused("timestamp or nonce")
    try:
        return account.crypt.open(
            encrypt, signature=query.get("msg_signature", ""), timestamp=timestamp, nonce=nonce
        )
    except CryptoError as error:
        raise Refused(str(error)) from None


def refuse_unknown(callback: Callback, *, window_s: int, now: float) -> NoReturn:
    """An account that is not there costs the same work as a wrong signature: its name is not to be guessed."""
    with suppress(Refused):
        open_xml(_nobody(), callback, window_s=window_s, now=now)
    raise Refused("no such account")


@cache
def _nobody() -> Account:
    """An account whose token nobody has, not even us."""
    return WeComApp.model_validate(
        {
            "surface": "wecom_app",
            "corp_id": "nobody",
            "agent_id": 0,
            "secret": "",
            "token": secrets.token_hex(16),
            "encoding_aes_key": base64.b64encode(secrets.token_bytes(32)).decode()[:43],
            "dify_url": "http://nobody.invalid",
            "dify_key": "",
        }
    )


def check_time(callback: Callback, *, window_s: int, now: float) -> None:
    """Refuse a callback whose time is too far from ours; the platform signs the time with the rest."""
    timestamp = callback.query.get("timestamp", "")
    if window_s == 0:
        return
    if not TIMESTAMP.fullmatch(timestamp) or abs(now - int(timestamp)) > window_s:
        raise Refused("timestamp")
