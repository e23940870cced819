"""Events: a welcome once a day, a menu's button as a question, what nothing is said to."""

from dataclasses import replace

from tests.channel.conftest import make_account
from tests.channel.desk import Desk, texts
from tests.fakes.dify import FakeDify
from tool_server.channel import attachments, compose, kinds, voice
from tool_server.channel.surface import Incoming
from tool_server.words import WORDS

OPENING = {
    "opening_statement": "你好，我是深桥。",
    "suggested_questions": ["年假有几天？", "VPN？"],
}
WELCOME = "你好，我是深桥。\n\n您可以这样问：\n· 年假有几天？\n· VPN？"


def event(name: str, text: str = "") -> Incoming:
    return Incoming(name, name, "zhang", "event", text, 1, event=name)


def test_who_comes_in_is_welcomed_with_the_apps_opening_and_questions(
    desk: Desk, dify: FakeDify
) -> None:
    dify.features = OPENING
    assert desk.say(kind="event", event="enter") == [WELCOME]
    assert dify.runs == []


def test_who_comes_in_again_the_same_day_is_not_welcomed_twice(desk: Desk, dify: FakeDify) -> None:
    dify.features = OPENING
    desk.say(kind="event", event="enter")
    assert desk.say(kind="event", event="enter") == []
    assert desk.say(kind="event", event="enter", user="li") == [WELCOME]


def test_who_comes_in_on_another_day_is_welcomed_again(desk: Desk) -> None:
    desk.say(kind="event", event="enter")
    events = desk.asking.composer.events
    tomorrow = replace(events, clock=lambda: events.clock() + 86401)
    object.__setattr__(desk.asking.composer, "events", tomorrow)
    assert desk.say(kind="event", event="enter")[0].startswith("您好")


def test_an_app_without_an_opening_or_away_has_our_own_sentence(desk: Desk) -> None:
    assert desk.say(kind="event", event="enter")[0].startswith("您好，我是您的助手")
    desk.account = make_account()
    assert desk.say(kind="event", event="enter", user="li")[0].startswith("您好，我是您的助手")


def test_an_apps_opening_is_asked_for_once_in_some_minutes(desk: Desk, dify: FakeDify) -> None:
    for number in range(3):
        desk.say(kind="event", event="enter", user=f"user{number}")
    assert dify.asked_parameters == 1


def test_a_menus_button_asks_its_key_or_carries_out_a_command(desk: Desk) -> None:
    assert desk.say("年假有几天？", kind="event", event="click") == ["答：年假有几天？"]
    assert "/停止" in desk.say("/帮助", kind="event", event="click")[0]


def test_who_may_not_ask_is_told_so_when_they_ask_and_not_when_they_come_in(desk: Desk) -> None:
    access = desk.account.access.model_copy(update={"users": ("li",)})
    desk.account = desk.account.model_copy(update={"access": access})
    assert desk.say(kind="event", event="enter") == []
    assert desk.say("年假？")[0].startswith("抱歉，您还没有使用这个助手的权限")
    assert desk.say("年假？", user="li") == ["答：年假？"]


def test_a_daily_number_of_questions_leaves_commands_and_welcomes_alone(desk: Desk) -> None:
    access = desk.account.access.model_copy(update={"daily_questions": 1})
    desk.account = desk.account.model_copy(update={"access": access})
    assert desk.say(kind="event", event="enter")[0].startswith("您好")
    assert "/停止" in desk.say("/帮助")[0]
    assert desk.say("一？") == ["答：一？"]
    assert desk.say("二？")[0].startswith("您今天的提问次数已用完")
    assert desk.say("/新对话")[0].startswith("好的，已开始新对话")


def test_a_message_told_busy_is_not_asked(desk: Desk, dify: FakeDify) -> None:
    desk.claim("忙？")
    composed = desk.answer(replace(desk.lease(), busy=7))
    assert composed is not None
    assert "第7位" in texts(composed)[0]
    assert dify.runs == []


def test_only_what_is_answered_keeps_a_connection(desk: Desk) -> None:
    assert not kinds.quiet(event("enter"))
    assert not kinds.quiet(event("click", "k"))
    assert kinds.quiet(event("feedback"))
    assert kinds.quiet(event("card"))
    assert kinds.silent(event("unsubscribe"))
    assert not kinds.silent(event("feedback"))


def test_only_a_stop_and_what_asks_nothing_pass_the_queue() -> None:
    assert kinds.urgent(event("feedback"))
    assert kinds.urgent(event("click", "/stop"))
    assert not kinds.urgent(event("click", "年假有几天？"))
    assert not kinds.urgent(replace(event("x", "/new"), kind="text"))
    assert kinds.urgent(replace(event("x", "@助手 /停止"), kind="text", chat="g"))


def test_every_sentence_that_is_named_is_there_in_both_languages() -> None:
    named = {
        *compose.SENTENCES.values(),
        *kinds.SENTENCES.values(),
        kinds.UNKNOWN_KIND,
        *attachments.NOT_TAKEN.values(),
        *voice.SENTENCES.values(),
    }
    assert named <= set(WORDS)
    assert all(set(WORDS[name]) == {"zh", "en"} for name in named)
