"""Commands, pictures, welcome and thumbs through the whole channel: real callbacks, a real worker, a scripted app."""

import base64

from playground.stage import AGENT_ID, CORP_ID, Stage
from tests.fakes.dify import FakeDify, Script
from tests.reliability.waiting import USERS, answers, settle_down, state
from tests.waiting import wait_for
from tool_server.channel.ledger import stream_id

PNG = b"\x89PNG\r\n\x1a\n" + b"pixels" * 20


def test_a_stop_while_an_answer_runs_ends_it_with_what_was_said(
    stage: Stage, dify: FakeDify
) -> None:
    user, question = next(USERS), "说个没完"
    dify.scripts[question] = Script(text="前一半后一半", part_s=30)
    msg_id = stage.send(user, question)
    wait_for(lambda: dify.runs)
    stop = stage.send(user, "/停止")
    wait_for(lambda: state(stage, msg_id) == state(stage, stop) == "done")
    wait_for(lambda: len(answers(stage, user)) == 2)
    assert sorted(answers(stage, user)) == sorted(
        ["前一半\n\n（已停止）", "好的，已停止 1 条正在处理的消息。"]
    )


def test_a_picture_and_then_a_question_are_asked_together(stage: Stage, dify: FakeDify) -> None:
    user = next(USERS)
    dify.features = {"file_upload": {"enabled": True, "allowed_file_types": ["image"]}}
    data = base64.b64encode(PNG).decode()
    settle_down(stage, user, stage.send(user, "", kind="image", file=data, file_name="a.png"))
    settle_down(stage, user, stage.send(user, "这是什么？"))
    assert answers(stage, user)[1:] == ["答：这是什么？"]
    assert dify.uploads[-1] == (user, "a.png", PNG)
    assert len(dify.runs[0].files) == 1


def test_who_comes_in_is_welcomed_before_they_ask(stage: Stage, dify: FakeDify) -> None:
    user = next(USERS)
    stage.send(user, "", kind="enter_agent")
    wait_for(lambda: answers(stage, user))
    settle_down(stage, user, stage.send(user, "问题"))
    assert len(answers(stage, user)) == 2
    assert answers(stage, user)[0].startswith("您好，我是您的助手")


def test_a_thumb_that_came_while_dify_was_away_reaches_it_later(
    stage: Stage, dify: FakeDify
) -> None:
    user = next(USERS)
    msg_id = stage.send(user, "好不好？")
    settle_down(stage, user, msg_id)
    answer = stream_id(f"{CORP_ID}/{AGENT_ID}/{msg_id}")
    dify.feedback_status = 503
    stage.send(
        user, "", kind="template_card_event", fields={"TaskId": answer, "EventKey": "dislike"}
    )
    wait_for(lambda: dify.asked_feedback)
    dify.feedback_status = 200
    wait_for(lambda: dify.runs[0].feedback)
    assert dify.runs[0].feedback == {"rating": "dislike", "user": user, "content": None}
    assert len(answers(stage, user)) == 1
