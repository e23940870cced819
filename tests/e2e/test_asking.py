"""Commands, welcome and pictures through the whole product: the real workflow says what it declares."""

import base64

from playground.stage import Stage
from tests.waiting import wait_for

OPENING = "你好，我是深桥知识助手"
PNG = b"\x89PNG\r\n\x1a\n" + b"pixels" * 20


def test_who_comes_in_reads_the_apps_own_opening_with_its_questions(
    stage: Stage, user: str
) -> None:
    stage.send(user, "", kind="enter_agent")
    wait_for(lambda: stage.seen(user))
    (welcome,) = (entry["text"] for entry in stage.seen(user))
    assert welcome.startswith(OPENING)
    assert "· 年假有几天？" in welcome


def test_a_new_conversation_is_begun_on_command(stage: Stage, user: str) -> None:
    stage.converse(user, "停车多少钱？")
    assert stage.converse(user, "/新对话")["text"].startswith("好的，已开始新对话")
    stage.converse(user, "停车多少钱？")
    conversations = [run["conversation_id"] for run in stage.runs() if run["user"] == user]
    assert len(set(conversations)) == 2


def test_a_picture_is_declined_because_the_workflow_takes_none(stage: Stage, user: str) -> None:
    runs = len(stage.runs())
    data = base64.b64encode(PNG).decode()
    stage.send(user, "", kind="image", file=data, file_name="a.png")
    wait_for(lambda: stage.seen(user))
    assert stage.seen(user)[0]["text"].startswith("这个助手看不了图片")
    assert len(stage.runs()) == runs
