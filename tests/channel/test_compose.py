"""The steps before an app is asked: who may not ask, or has asked enough, is told so, and no run is begun."""

from tests.channel.conftest import make_account
from tests.channel.desk import Desk
from tests.fakes.dify import FakeDify
from tool_server.words import say


def test_who_may_not_ask_is_told_and_the_app_is_not_asked(desk: Desk, dify: FakeDify) -> None:
    desk.account = make_account(dify_url=dify.url, agent_id=7, access={"users": ["lina"]})
    assert desk.say("年假有几天？") == [say("not_allowed", "zh")]
    assert dify.runs == []
    assert desk.say("年假有几天？", user="lina") == ["答：年假有几天？"]


def test_who_has_asked_enough_today_is_told_each_time_and_commands_cost_nothing(
    desk: Desk, dify: FakeDify
) -> None:
    desk.account = make_account(dify_url=dify.url, agent_id=7, access={"daily_questions": 1})
    assert desk.say("/新对话") == [say("new_conversation", "zh")]
    assert desk.say("年假有几天？") == ["答：年假有几天？"]
    for _ in range(2):
        assert desk.say("停车多少钱？") == [say("quota", "zh")]
    assert len(dify.runs) == 1
