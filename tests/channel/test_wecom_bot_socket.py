"""The surface of a bot by long connection: what callbacks bring, which frames an answer becomes, and where they go."""

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tool_server.channel.account import Account, WeComBotSocket
from tool_server.channel.surface import Address, Choices, File, Refused, Text
from tool_server.channel.surfaces import wecom_bot_socket as surface
from tool_server.channel.wecom_api import SendError

ACCOUNT = WeComBotSocket.model_validate(
    {
        "surface": "wecom_bot_socket",
        "bot_id": "bot-1",
        "secret": "s",
        "dify_url": "http://127.0.0.1:9/v1",
        "dify_key": "app",
    }
)
BODY: dict[str, Any] = {
    "msgid": "m-1",
    "aibotid": "bot-1",
    "chattype": "single",
    "from": {"userid": "zhang"},
    "msgtype": "text",
    "text": {"content": "年假有几天？"},
}


@dataclass
class Platform:
    """Takes frames, or answers the first with a code."""

    code: int = 0
    taken: list[dict[str, Any]] = field(default_factory=list)

    def call(self, account: Account, path: str, body: str) -> Mapping[str, object]:
        code, self.code = self.code, 0
        if code:
            raise SendError(code, "refused", again_in_s=None)
        self.taken.append({"cmd": path, **json.loads(body)["body"]})
        return {}

    def post(self, url: str, body: str) -> Mapping[str, object]:
        raise AssertionError("nothing is posted")


def address(*, at: float | None = None, event: str = "", chat: str = "") -> Address:
    """Where the answer to BODY goes; it came at `at`."""
    body = BODY | ({"chatid": chat, "chattype": "group"} if chat else {})
    if event:
        body |= {"msgtype": "event", "event": {"eventtype": event}}
    now = time.time() if at is None else at
    return surface.incoming(ACCOUNT, "cb-1", body, now=now).address


def sent(platform: Platform, to: Address, *contents: Text | File | Choices) -> list[dict[str, Any]]:
    for body in surface.bodies(ACCOUNT, to, contents, message_id=7):
        surface.send(platform, ACCOUNT, body)
    return platform.taken


def test_the_first_text_ends_the_stream_and_the_others_are_messages() -> None:
    first, second, third = sent(Platform(), address(), Text("一"), Text("二"), File("image", "m"))
    assert first["stream"] == {
        "id": first["stream"]["id"],
        "finish": True,
        "content": "一",
        "feedback": {"id": first["stream"]["id"]},
    }
    assert (second["chatid"], second["chat_type"]) == ("zhang", 1)
    assert second["markdown"] == {"content": "二"}
    assert third["image"] == {"media_id": "m"}


def test_growing_frames_and_the_last_one_name_the_same_stream() -> None:
    to = address()
    growing = surface.growing(surface.Handle.read(to.handle), "一")
    (last,) = sent(Platform(), to, Text("一二"))
    assert growing["stream"]["id"] == last["stream"]["id"]
    assert growing["stream"]["finish"] is False


@pytest.mark.parametrize("code", [846605, 846608])
def test_an_answer_whose_stream_is_refused_goes_as_a_message(code: int) -> None:
    (only,) = sent(Platform(code), address(), Text("一"))
    assert (only["cmd"], only["markdown"]) == ("aibot_send_msg", {"content": "一"})


def test_an_answer_after_six_minutes_goes_as_a_message_at_once() -> None:
    (only,) = sent(Platform(), address(at=time.time() - 360), Text("一"))
    assert only["cmd"] == "aibot_send_msg"


def test_in_a_group_messages_go_to_the_group() -> None:
    _first, second = sent(Platform(), address(chat="group-1"), Text("一"), Text("二"))
    assert (second["chatid"], second["chat_type"]) == ("group-1", 2)


def test_other_faults_are_not_hidden() -> None:
    with pytest.raises(SendError):
        sent(Platform(45009), address(), Text("一"))


def test_an_entrance_is_answered_with_a_welcome_that_has_no_second_way() -> None:
    to = address(event="enter_chat")
    (welcome,) = sent(Platform(), to, Text("欢迎"))
    assert (welcome["cmd"], welcome["text"]) == ("aibot_respond_welcome_msg", {"content": "欢迎"})
    with pytest.raises(SendError):
        sent(Platform(846605), to, Text("欢迎"))


def test_questions_of_a_welcome_are_buttons_where_they_are_short() -> None:
    to = address(event="enter_chat")
    (short,) = sent(Platform(), to, Choices("欢迎", "您可以问：", ("年假？", "VPN？")))
    card = short["template_card"]
    assert [button["key"] for button in card["button_list"]] == ["ask:年假？", "ask:VPN？"]
    assert re.fullmatch(r"ask-[0-9a-f]{32}", card["task_id"])
    (long,) = sent(Platform(), to, Choices("欢迎", "您可以问：", ("年" * 17,)))
    assert long["text"] == {"content": "欢迎\n\n您可以问：\n· " + "年" * 17}


@pytest.mark.parametrize(
    ("data", "event", "text"),
    [
        ({"event_key": "ask:VPN？", "task_id": "ask-1"}, "click", "VPN？"),
        ({"event_key": "ask:VPN？", "task_id": ["ask-1"]}, "click", "VPN？"),
        ({"event_key": "like", "task_id": "0123"}, "card", ""),
        ({"event_key": 7, "task_id": ["ask-1"]}, "card", ""),
    ],
)
def test_a_press_on_a_question_asks_it(data: dict[str, Any], event: str, text: str) -> None:
    happened = {"eventtype": "template_card_event", "template_card_event": data}
    body = BODY | {"msgtype": "event", "event": happened}
    message = surface.incoming(ACCOUNT, "cb-1", body, now=time.time())
    assert (message.event, message.text) == (event, text)


def test_a_card_shows_which_question_was_pressed_and_a_text_cannot() -> None:
    to = address(event="enter_chat")
    said = Choices("欢迎", "您可以问：", ("年假？", "VPN？"))
    (welcome,) = surface.bodies(ACCOUNT, to, [said], message_id=7)
    changed = json.loads(surface.chosen(to, welcome, "VPN？"))
    before, after = (
        frame["body"]["template_card"]["button_list"] for frame in (json.loads(welcome), changed)
    )
    assert [button["text"] for button in after] == ["年假？", "✓ VPN？"]
    assert [button["key"] for button in after] == [button["key"] for button in before]
    assert changed["body"]["response_type"] == "update_template_card"
    (text,) = surface.bodies(ACCOUNT, to, [Text("欢迎")], message_id=7)
    assert surface.chosen(to, text, "VPN？") == ""


def test_what_a_press_asked_is_answered_by_a_message() -> None:
    data = {"event_key": "ask:VPN？", "task_id": "ask-1"}
    happened = {"eventtype": "template_card_event", "template_card_event": data}
    body = BODY | {"msgtype": "event", "event": happened}
    to = surface.incoming(ACCOUNT, "cb-1", body, now=time.time()).address
    (only,) = sent(Platform(), to, Text("一"))
    assert (only["cmd"], only["markdown"]) == ("aibot_send_msg", {"content": "一"})


def test_a_message_that_came_another_way_is_answered_with_a_message() -> None:
    (only,) = sent(Platform(), Address("zhang", handle=""), Text("一"))
    assert only["cmd"] == "aibot_send_msg"


def test_a_repeat_under_another_callback_is_the_same_message() -> None:
    one = surface.incoming(ACCOUNT, "cb-1", BODY, now=1.0)
    two = surface.incoming(ACCOUNT, "cb-2", BODY, now=2.0)
    assert one.dedupe_key == two.dedupe_key


@settings(max_examples=60, deadline=None)
@given(
    st.recursive(
        st.none() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_whatever_comes_is_a_message_or_refused(part: object) -> None:
    for name in BODY:
        body = BODY | {name: part}
        try:
            surface.incoming(ACCOUNT, "cb-1", body, now=1.0)
        except Refused:
            continue
