"""Commands: what is one, in both languages and in groups, and what they do to answers on their way."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.channel.desk import Desk, texts
from tests.fakes.dify import FakeDify, Script
from tests.waiting import wait_for
from tool_server.channel import chat_commands
from tool_server.channel.chat_commands import Command


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("/new", "new"),
        (" /NEW ", "new"),
        ("/新对话", "new"),
        ("／新对话", "new"),
        ("新会话", "new"),
        ("/stop", "stop"),
        ("/停止", "stop"),
        ("／stop", "stop"),
        ("/help", "help"),
        ("/帮助", "help"),
        ("/xyz", None),
        ("/new 年假有几天？", None),
        ("怎么用 /new", None),
        ("help", None),
        ("@助手 /new", None),
    ],
)
def test_a_command_is_one_word_in_either_language_with_either_slash(
    text: str, command: Command | None
) -> None:
    assert chat_commands.read(text) == command


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("@助手 /stop", "stop"),
        ("@AI 助手\u2005/停止", "stop"),
        ("@AI 助手\u2005 /stop", "stop"),
        ("/stop", "stop"),
        ("@助手 怎么用 /stop", None),
    ],
)
def test_in_a_group_a_command_stands_behind_the_mention(text: str, command: Command | None) -> None:
    assert chat_commands.read(text, group=True) == command


def test_a_menus_key_is_a_command_without_a_slash_too() -> None:
    assert chat_commands.read("help", key=True) == "help"
    assert chat_commands.read("年假有几天？", key=True) is None


def test_a_slash_that_begins_no_command_is_a_question(desk: Desk) -> None:
    assert desk.say("/年假有几天") == ["答：/年假有几天"]


def test_a_new_conversation_forgets_the_one_before(desk: Desk, dify: FakeDify) -> None:
    desk.say("一")
    desk.say("二")
    assert desk.say("/新对话")[0].startswith("好的，已开始新对话")
    desk.say("三")
    conversations = [run.conversation for run in dify.runs]
    assert conversations[0] == conversations[1] != conversations[2]


def test_help_names_the_commands_and_the_apps_own_questions(desk: Desk, dify: FakeDify) -> None:
    dify.features = {"suggested_questions": ["年假有几天？"]}
    (text,) = desk.say("/help")
    assert "/停止" in text
    assert "· 年假有几天？" in text


def test_a_command_in_latin_letters_is_answered_in_the_language_of_the_person(desk: Desk) -> None:
    assert desk.say("/new")[0].startswith("好的，已开始新对话")
    desk.say("How many days of leave?")
    assert desk.say("/new")[0].startswith("All right, this is a new conversation")
    assert desk.say("/新对话")[0].startswith("好的，已开始新对话")


def test_help_works_while_dify_is_away(desk: Desk) -> None:
    desk.account = desk.account.model_copy(update={"dify_url": "http://127.0.0.1:9/v1"})
    assert "/停止" in desk.say("/帮助")[0]


def test_there_may_be_nothing_to_stop(desk: Desk) -> None:
    assert desk.say("/停止") == ["现在没有正在进行的回答。"]


def test_a_stop_ends_a_running_answer_with_what_was_said_so_far(desk: Desk, dify: FakeDify) -> None:
    """The answer runs on one worker, the command is carried out by another."""
    dify.default = Script(text="前一半后一半", part_s=20)
    desk.claim("长问题")
    running = desk.lease()
    other, others = desk.worker("two")
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(desk.answer, running)
        wait_for(lambda: any(text == "前一半" for text, _ in desk.screen.seen))
        desk.claim("/stop")
        stop = desk.answer(desk.lease(other), other, others)
        composed = answer.result(timeout=90)
    assert stop is not None
    assert composed is not None
    assert texts(stop) == ["好的，已停止 1 条正在处理的消息。"]
    assert texts(composed) == ["前一半\n\n（已停止）"]
    assert dify.runs[0].stopped
    others.close()


def test_a_stop_ends_a_run_that_has_said_nothing_with_a_sentence(
    desk: Desk, dify: FakeDify
) -> None:
    dify.default = Script(seconds=20)
    desk.claim("长问题")
    running = desk.lease()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(desk.answer, running)
        wait_for(lambda: dify.runs)
        desk.say("/停止")
        composed = answer.result(timeout=90)
    assert composed is not None
    assert texts(composed) == ["（已停止）"]


def test_a_stop_in_the_moment_before_a_run_begins_still_ends_it(desk: Desk, dify: FakeDify) -> None:
    dify.default = Script(first_s=0.5, seconds=20)
    desk.claim("长问题")
    running = desk.lease()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(desk.answer, running)
        wait_for(lambda: dify.runs)
        desk.say("/停止")
        composed = answer.result(timeout=90)
    assert composed is not None
    assert texts(composed) == ["（已停止）"]
    assert dify.runs[0].stopped


def test_a_stop_ends_what_waits_in_the_same_conversation_and_nothing_else(
    desk: Desk, dify: FakeDify
) -> None:
    desk.claim("排队一")
    first = desk.lease()
    desk.claim("排队二")
    desk.claim("别人的", user="li")
    assert desk.say("/停止") == ["好的，已停止 2 条正在处理的消息。"]
    desk.work.later(first, "its worker had a fault", in_s=0)
    shown = [desk.answer(desk.lease()) for _ in range(3)]
    said = [texts(composed)[0] for composed in shown if composed is not None]
    assert sorted(said) == ["答：别人的", "（已停止）", "（已停止）"]
    assert [run.query for run in dify.runs] == ["别人的"]


def test_what_is_asked_after_a_stop_is_answered(desk: Desk) -> None:
    desk.claim("先")
    first = desk.lease()
    desk.say("/停止")
    desk.claim("后")
    desk.answer(first)
    desk.answer(desk.lease())
    assert desk.dify.runs[-1].query == "后"
    assert desk.dify.runs[-1].answer == "答：后"
