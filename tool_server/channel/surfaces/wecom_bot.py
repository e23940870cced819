"""WeCom AI bot (智能机器人) by webhook: encrypted JSON in, streams and one active reply out.

Limits: developer.work.weixin.qq.com, documents 100719, 101031, 101033 and 101138.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from tool_server.channel import envelope
from tool_server.channel.account import Account, WeComBot
from tool_server.channel.split import fit
from tool_server.channel.surface import (
    Address,
    Api,
    Callback,
    Content,
    Incoming,
    Limits,
    Picture,
    Received,
    Refresh,
    Refused,
    Shown,
    Text,
)
from tool_server.channel.surfaces.bot_message import incoming_of, read_object
from tool_server.channel.wecom_api import SendError

# One content of at most 20,480 bytes (101031): the stream carries it, or the message's one active reply (101138).
LIMITS = Limits(
    piece_bytes=20480,
    number_bytes=16,
    first="stream",
    markup="full",
    pieces=1,
    stream_s=360.0,
    stream_pictures=10,
)
# Ids of streams are our own, 32 hex digits.
STREAM_CHARACTERS = 64
HANDLE_CHARACTERS = 2048

verify = envelope.open_echo


def decode(account: Account, callback: Callback, *, window_s: int, now: float) -> Received:
    """The message of a POST, or the question how far a stream is; raises `Refused` for all that is wrong with it."""
    body = _open(account, callback, window_s, now)
    if body.get("msgtype") == "stream":
        return Refresh(_stream_id(body))
    return _incoming(of_bot(account), body)


def seal_reply(account: Account, to: Address, text: str, *, now: float) -> bytes:
    """A plain text, which only an entrance takes; `enclose` seals it for each delivery."""
    return _json({"msgtype": "text", "text": {"content": fit(text, LIMITS.piece_bytes)}})


def stream_reply(shown: Shown) -> bytes:
    """The stream as far as it is. Its feedback id is its own: thumbs come back with it (101031, first reply only)."""
    stream: dict[str, object] = {
        "id": shown.stream,
        "finish": shown.finish,
        "content": fit(shown.content, LIMITS.piece_bytes),
    }
    if shown.first:
        stream["feedback"] = {"id": shown.stream}
    if shown.pictures:
        stream["msg_item"] = [_item(picture.data) for picture in shown.pictures]
    return _json({"msgtype": "stream", "stream": stream})


def enclose(account: Account, callback: Callback, reply: bytes, *, now: float) -> bytes:
    """The encrypted JSON around a reply; its nonce is the request's (101033)."""
    nonce = callback.query.get("nonce", "")
    sealed = account.crypt.seal(reply.decode(), timestamp=str(int(now)), nonce=nonce)
    return _json(
        {
            "encrypt": sealed.encrypt,
            "msgsignature": sealed.signature,
            "timestamp": int(sealed.timestamp),
            "nonce": sealed.nonce,
        }
    )


def bodies(
    account: Account,
    to: Address,
    contents: Sequence[Content],
    *,
    message_id: int,
    first: int = 1,
) -> list[str]:
    """One request: a message may be answered actively once. It carries no pictures, but links to them."""
    texts = [content.text for content in contents if isinstance(content, Text)]
    links = [_link(content) for content in contents if isinstance(content, Picture)]
    foot = "".join(f"\n\n{link}" for link in links)
    text = fit("\n\n".join(texts), LIMITS.piece_bytes - len(foot.encode())) + foot
    url = read_object(to.handle).get("response_url", "") if to.handle else ""
    request = {"url": url, "body": {"msgtype": "markdown", "markdown": {"content": text}}}
    return [_json(request).decode()]


def send(api: Api, account: Account, body: str) -> str:
    """Post it to the address that came with the message; the platform gives no id for it."""
    request = json.loads(body)
    if not request["url"]:
        raise SendError(0, "the message came without an address to answer to", again_in_s=None)
    api.post(request["url"], _json(request["body"]).decode())
    return ""


def of_bot(account: Account) -> WeComBot:
    """The account as what it is."""
    if not isinstance(account, WeComBot):
        raise TypeError(f"{account.surface} is not a bot with a webhook")
    return account


def _open(account: Account, callback: Callback, window_s: int, now: float) -> Mapping[str, object]:
    envelope.check_time(callback, window_s=window_s, now=now)
    encrypt = read_object(callback.body).get("encrypt")
    sealed = encrypt if isinstance(encrypt, str) else ""
    return read_object(envelope.open_encrypted(account, callback, sealed))


def _incoming(account: WeComBot, body: Mapping[str, object]) -> Incoming:
    bot = body.get("aibotid")
    incoming = incoming_of(bot if isinstance(bot, str) else "", body)
    url = incoming.handle
    if len(url) > HANDLE_CHARACTERS or (url and not url.startswith(("https://", "http://"))):
        raise Refused("response_url")
    key = account.encoding_aes_key.get_secret_value()
    return replace(
        incoming,
        media=tuple(replace(media, key=media.key or key) for media in incoming.media),
        handle=json.dumps({"response_url": url}) if url else "",
    )


def _item(picture: bytes) -> dict[str, object]:
    """As a finished stream carries it: at most ten, each of at most 10 MB before base64 (101031)."""
    md5 = hashlib.md5(picture, usedforsecurity=False).hexdigest()
    image = {"base64": base64.b64encode(picture).decode(), "md5": md5}
    return {"msgtype": "image", "image": image}


def _link(picture: Picture) -> str:
    return f"[{picture.name}]({picture.url.replace(')', '%29')})"


def _stream_id(body: Mapping[str, object]) -> str:
    stream = body.get("stream")
    name = stream.get("id") if isinstance(stream, dict) else None
    if not isinstance(name, str) or not 0 < len(name) <= STREAM_CHARACTERS:
        raise Refused("no stream")
    return name


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
