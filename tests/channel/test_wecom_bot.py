"""The AI bot by webhook: what its callbacks say, what is refused, and the replies that the platform takes."""

import base64
import hashlib
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wechatpy.work.crypto import WeChatCrypto

from playground.wechat.bot.envelope import Envelope
from playground.wechat.crypto import Secrets
from playground.wechat.wire import Request
from tests.channel.conftest import AES_KEY
from tool_server.channel.account import Account, parse_account
from tool_server.channel.surface import (
    Address,
    Callback,
    Incoming,
    Media,
    Picture,
    Refresh,
    Refused,
    Shown,
    Text,
)
from tool_server.channel.surfaces import wecom_bot
from tool_server.channel.wecom_api import SendError
from tool_server.channel.wxcrypt import WxCrypt

NOW = 1_700_000_000.0
PLATFORM = Envelope(Secrets("thetoken", AES_KEY, ""))
BOT = parse_account(
    {
        "surface": "wecom_bot",
        "token": "thetoken",
        "encoding_aes_key": AES_KEY,
        "dify_url": "http://127.0.0.1:9/v1",
        "dify_key": "app-test",
    }
)


PICTURE = Picture("图.png", "https://dify.corp.cn/files/1", b"\x89PNG\r\n\x1a\nrest")


def message(**fields: Any) -> dict[str, Any]:
    return {
        "msgid": "CAIQ/+==",
        "aibotid": "aib",
        "chattype": "single",
        "from": {"userid": "zhang"},
        "msgtype": "text",
        "text": {"content": "年假有几天？"},
        "create_time": 1_700_000_000,
        "response_url": "https://example.com/r?response_code=c",
        **fields,
    }


def callback(body: Any, envelope: Envelope = PLATFORM, at: float = NOW) -> Callback:
    request = envelope.seal(body, at=at)
    return Callback(request.query, request.body)


def decoded(body: Any) -> Incoming:
    received = wecom_bot.decode(BOT, callback(body), window_s=300, now=NOW)
    assert isinstance(received, Incoming)
    return received


def test_a_text_of_a_single_chat() -> None:
    incoming = decoded(message())
    assert incoming == Incoming(
        dedupe_key="bot/aib/CAIQ/+==",
        platform_id="CAIQ/+==",
        user="zhang",
        kind="text",
        text="年假有几天？",
        sent_at=1_700_000_000,
        handle='{"response_url": "https://example.com/r?response_code=c"}',
    )


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("@深桥助手 年假有几天？", "年假有几天？"),
        ("@深桥助手\u2005年假有几天？", "年假有几天？"),
        ("年假有几天？ @深桥助手", "年假有几天？"),
        ("@深桥助手 问一下 @张伟 的年假", "问一下 @张伟 的年假"),
        ("@深桥助手", ""),
        ("写信到 hr@example.com 对吗", "写信到 hr@example.com 对吗"),
    ],
)
def test_a_groups_text_is_read_without_the_bots_name(text: str, question: str) -> None:
    incoming = decoded(message(chattype="group", chatid="g1", text={"content": text}))
    assert (incoming.text, incoming.chat) == (question, "g1")


def test_a_single_chats_text_keeps_its_names() -> None:
    assert decoded(message(text={"content": "@张伟 是谁？"})).text == "@张伟 是谁？"


@pytest.mark.parametrize("kind", ["image", "file", "video"])
def test_media_come_with_the_bots_key(kind: str) -> None:
    incoming = decoded(message(msgtype=kind, **{kind: {"url": "https://example.com/m"}}))
    assert incoming.kind == kind
    assert incoming.media == (Media(kind, "https://example.com/m", AES_KEY),)  # type: ignore[arg-type]


def test_a_mixed_message_has_its_text_and_its_pictures() -> None:
    items = [
        {"msgtype": "text", "text": {"content": "这是"}},
        {"msgtype": "image", "image": {"url": "https://example.com/1"}},
        {"msgtype": "text", "text": {"content": "什么？"}},
        "no item",
    ]
    incoming = decoded(message(msgtype="mixed", mixed={"msg_item": items}))
    assert incoming.text == "这是\n什么？"
    assert [media.ref for media in incoming.media] == ["https://example.com/1"]


def test_a_voice_message_is_its_transcript() -> None:
    incoming = decoded(message(msgtype="voice", voice={"content": "年假有几天"}))
    assert (incoming.kind, incoming.text, incoming.media) == ("voice", "年假有几天", ())


@pytest.mark.parametrize(
    ("quote", "text", "media"),
    [
        ({"msgtype": "text", "text": {"content": "年假 12 天"}}, "年假 12 天", []),
        (
            {"msgtype": "image", "image": {"url": "https://example.com/q"}},
            "",
            ["https://example.com/q"],
        ),
        ({"msgtype": "text", "text": {"content": "长" * 9000}}, "长" * 4000, []),
        ({"msgtype": "poem"}, "", []),
        ("nonsense", "", []),
    ],
)
def test_what_a_person_quotes_comes_with_the_message(
    quote: Any, text: str, media: list[str]
) -> None:
    incoming = decoded(message(quote=quote))
    assert incoming.quote == text
    assert [one.ref for one in incoming.media] == media


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize(
    ("event", "name", "data"),
    [
        ("enter_chat", "enter", {}),
        ("template_card_event", "card", {"event_key": "k", "task_id": "t"}),
        ("feedback_event", "feedback", {"id": "s1", "type": 2, "content": "falsch"}),
    ],
)
def test_events_have_our_names_and_their_data_whether_nested_or_flat(
    event: str, name: str, data: dict[str, Any], flat: bool
) -> None:
    fields = data if flat else {event: data}
    incoming = decoded(message(msgtype="event", event={"eventtype": event, **fields}))
    assert (incoming.kind, incoming.event) == ("event", name)
    assert {**json.loads(incoming.data), "eventtype": event} == {**data, "eventtype": event}


def test_a_refresh_names_its_stream() -> None:
    body = message(msgtype="stream", stream={"id": "s1"})
    received = wecom_bot.decode(BOT, callback(body), window_s=300, now=NOW)
    assert received == Refresh("s1")


def test_what_no_database_takes_is_replaced() -> None:
    assert decoded(message(text={"content": "a\ud800b\0c"})).text == "a?bc"


@pytest.mark.parametrize(
    "body",
    [
        message(msgid=""),
        message(msgid=7),
        message(**{"from": {}}),
        message(**{"from": "zhang"}),
        message(msgtype=""),
        message(msgtype="stream"),
        message(msgtype="stream", stream={"id": ""}),
        message(msgtype="stream", stream={"id": "s" * 65}),
        message(msgtype="stream", stream={"id": ["s"]}),
        message(response_url="file:///etc/passwd"),
        message(response_url="https://" + "x" * 3000),
        [],
        "text",
    ],
)
def test_a_body_that_is_not_the_platforms_is_refused(body: Any) -> None:
    with pytest.raises(Refused):
        wecom_bot.decode(BOT, callback(body), window_s=300, now=NOW)


@pytest.mark.parametrize(
    "inner",
    [
        "not json",
        '{"msgid": "1", "msgid": "2", "msgtype": "text", "from": {"userid": "u"}}',
        '{"msgid": NaN}',
        "[" * 50_000,
        '{"create_time": ' + "9" * 5000 + "}",
    ],
)
def test_json_that_can_be_read_in_two_ways_is_refused(inner: str) -> None:
    sealed = WxCrypt("thetoken", AES_KEY, "").seal(inner, timestamp=str(int(NOW)), nonce="n")
    query = {"msg_signature": sealed.signature, "timestamp": sealed.timestamp, "nonce": "n"}
    body = json.dumps({"encrypt": sealed.encrypt}).encode()
    with pytest.raises(Refused):
        wecom_bot.decode(BOT, Callback(query, body), window_s=300, now=NOW)


@pytest.mark.parametrize(
    "forged",
    [
        callback(message(), Envelope(Secrets("othertoken", AES_KEY, ""))),
        callback(message(), Envelope(Secrets("thetoken", AES_KEY, "wwcorp"))),
        callback(message(), at=NOW - 3600),
        Callback(callback(message()).query, b"{}"),
        Callback(callback(message()).query, b'{"encrypt": 7}'),
        Callback(callback(message()).query, b"<xml/>"),
        Callback({}, callback(message()).body),
        Callback(callback(message()).query, json.dumps(message()).encode()),
    ],
)
def test_what_is_not_sealed_for_this_bot_is_refused(forged: Callback) -> None:
    with pytest.raises(Refused):
        wecom_bot.decode(BOT, forged, window_s=300, now=NOW)


def test_the_address_check_is_answered_with_its_text() -> None:
    request = PLATFORM.check("1616140317555161061")
    assert wecom_bot.verify(BOT, Callback(request.query)) == "1616140317555161061"


def test_an_empty_receive_id_is_sealed_as_other_implementations_do() -> None:
    """The values are our own, worked out step by step as document 90968 describes them."""
    sealed = WxCrypt("thetoken", AES_KEY, "").seal(
        '{"msgtype":"stream"}', timestamp="1700000000", nonce="n", random=b"0123456789abcdef"
    )
    joined = "".join(sorted(["thetoken", "1700000000", "n", sealed.encrypt]))
    assert sealed.signature == hashlib.sha1(joined.encode()).hexdigest()
    assert len(base64.b64decode(sealed.encrypt)) == 64  # 16 + 4 + 20, padded by 24
    other = WeChatCrypto("thetoken", AES_KEY, "")
    xml = f"<xml><Encrypt>{sealed.encrypt}</Encrypt></xml>"
    assert other.decrypt_message(xml, sealed.signature, "1700000000", "n") == '{"msgtype":"stream"}'


def opened(shown: Shown, nonce: str = "n") -> dict[str, Any]:
    """What the platform finds in our reply."""
    reply = wecom_bot.enclose(
        BOT, Callback({"nonce": nonce}), wecom_bot.stream_reply(shown), now=NOW
    )
    return PLATFORM.open(Request({"nonce": nonce}), reply)


def test_the_first_reply_of_a_stream_carries_its_feedback_id() -> None:
    stream = {"id": "s1", "finish": False, "content": "⏳"}
    assert opened(Shown("s1", "⏳", False, first=True)) == {
        "msgtype": "stream",
        "stream": {**stream, "feedback": {"id": "s1"}},
    }
    assert opened(Shown("s1", "⏳", False))["stream"] == stream


def test_a_finish_carries_its_pictures_with_their_sum() -> None:
    stream = opened(Shown("s1", "图", True, pictures=[PICTURE]))["stream"]
    (item,) = stream["msg_item"]
    assert item["msgtype"] == "image"
    assert base64.b64decode(item["image"]["base64"]) == PICTURE.data
    assert item["image"]["md5"] == hashlib.md5(PICTURE.data, usedforsecurity=False).hexdigest()


def test_an_answer_that_is_sent_leads_to_its_pictures() -> None:
    to = decoded(message()).address
    (body,) = wecom_bot.bodies(BOT, to, [Text("好" * 9000), PICTURE], message_id=1)
    content = json.loads(body)["body"]["markdown"]["content"]
    assert content.endswith("好\n\n[图.png](https://dify.corp.cn/files/1)")
    assert 20470 < len(content.encode()) <= 20480


@given(st.text(max_size=9000), st.integers(0, 3))
def test_no_content_is_longer_than_the_platform_takes(text: str, times: int) -> None:
    content = opened(Shown("s1", text + "好" * 7000 * times, True))["stream"]["content"]
    assert len(content.encode()) <= 20480


class Posts:
    """Takes what is posted to addresses."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Any]] = []

    def call(self, account: Account, path: str, body: str) -> dict[str, object]:
        raise AssertionError("a bot by webhook has no token")

    def post(self, url: str, body: str) -> dict[str, object]:
        self.sent.append((url, json.loads(body)))
        return {}


def test_an_answer_that_is_sent_is_one_request_to_the_messages_own_address() -> None:
    to, posts = decoded(message()).address, Posts()
    (body,) = wecom_bot.bodies(BOT, to, [Text("eins"), Text("zwei")], message_id=1)
    wecom_bot.send(posts, BOT, body)
    wecom_bot.send(posts, BOT, body)
    url, sent = posts.sent[0]
    assert url == "https://example.com/r?response_code=c"
    assert sent == {"msgtype": "markdown", "markdown": {"content": "eins\n\nzwei"}}
    assert posts.sent[0] == posts.sent[1]


def test_a_long_answer_that_is_sent_fits_too() -> None:
    to = decoded(message()).address
    (body,) = wecom_bot.bodies(BOT, to, [Text("好" * 9000)], message_id=1)
    assert len(json.loads(body)["body"]["markdown"]["content"].encode()) == 20478


def test_a_message_without_an_address_cannot_be_answered_later() -> None:
    (body,) = wecom_bot.bodies(BOT, Address("zhang"), [Text("x")], message_id=1)
    with pytest.raises(SendError) as caught:
        wecom_bot.send(Posts(), BOT, body)
    assert caught.value.again_in_s is None


def test_a_welcome_is_a_plain_text() -> None:
    reply = wecom_bot.seal_reply(BOT, Address("zhang"), "你好", now=time.time())
    assert json.loads(reply) == {"msgtype": "text", "text": {"content": "你好"}}
