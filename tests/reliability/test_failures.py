"""What a person gets when Dify or the platform fails: the answer later, or an honest sentence, always once."""

import pytest

from playground.stage import Stage
from tests.fakes.dify import FakeDify, Script
from tests.reliability.waiting import USERS, answers, events, settle_down, state
from tests.waiting import wait_for

LATE = 2.3  # seconds after which an answer is pushed on this stage


def test_a_dify_that_is_busy_is_asked_again_until_it_answers(stage: Stage, dify: FakeDify) -> None:
    user, question = next(USERS), "忙"
    dify.scripts[question] = Script(status=503, code="busy")
    msg_id = stage.send(user, question)
    wait_for(lambda: "later" in events(stage, msg_id))
    dify.scripts[question] = Script()
    settle_down(stage, user, msg_id)
    assert answers(stage, user) == [f"答：{question}"]
    assert len(dify.runs) == 1


@pytest.mark.parametrize(
    ("script", "beginning"),
    [
        (Script(status=401, code="unauthorized"), "抱歉，助手还没有配置好"),
        (Script(status=400, code="app_unavailable"), "抱歉，助手还没有配置好"),
        (Script(run_error=True), "抱歉，这个问题我暂时没能回答"),
        (Script(text="<think>只想不说</think>"), "抱歉，这次没有得到回答"),
    ],
)
def test_what_cannot_be_answered_gets_an_honest_sentence(
    stage: Stage, dify: FakeDify, script: Script, beginning: str
) -> None:
    user, question = next(USERS), "答不了"
    dify.scripts[question] = script
    settle_down(stage, user, stage.send(user, question))
    (shown,) = answers(stage, user)
    assert shown.startswith(beginning)


def test_the_sentence_is_in_the_language_of_the_question(stage: Stage, dify: FakeDify) -> None:
    user, question = next(USERS), "What now?"
    dify.scripts[question] = Script(run_error=True)
    settle_down(stage, user, stage.send(user, question))
    assert answers(stage, user)[0].startswith("Sorry")


@pytest.mark.parametrize(
    ("kind", "beginning"),
    [
        ("image", "这个助手看不了图片"),
        ("voice", "这个助手听不了语音"),
        ("video", "这个助手看不了视频"),
        ("location", "我还用不了位置信息"),
    ],
)
def test_what_cannot_be_read_gets_its_sentence_and_runs_nothing(
    stage: Stage, dify: FakeDify, kind: str, beginning: str
) -> None:
    user = next(USERS)
    settle_down(stage, user, stage.send(user, "", kind=kind))
    assert answers(stage, user)[0].startswith(beginning)
    assert dify.runs == []


@pytest.mark.parametrize(
    "fault",
    [
        {"fault": "errcode", "code": -1},
        {"fault": "errcode", "code": 42001},
        {"fault": "http_500"},
        {"fault": "broken_json"},
    ],
)
def test_a_push_that_failed_once_is_shown_once(
    stage: Stage, dify: FakeDify, fault: dict[str, object]
) -> None:
    user, question = next(USERS), f"推送 {fault}"
    dify.scripts[question] = Script(seconds=LATE)
    stage.script("message/send", **fault)  # type: ignore[arg-type]
    settle_down(stage, user, stage.send(user, question))
    assert answers(stage, user) == [f"答：{question}"]


def test_a_push_that_can_never_arrive_is_kept_with_its_reason(stage: Stage, dify: FakeDify) -> None:
    user, question = next(USERS), "不可达"
    dify.scripts[question] = Script(seconds=LATE)
    stage.script("message/send", "errcode", code=60020, times=2)
    msg_id = stage.send(user, question)
    wait_for(lambda: state(stage, msg_id) == "failed")
    life = stage.timeline(msg_id)
    assert life["message"]["fault"].startswith("60020")
    assert [piece["error"][:5] for piece in life["pieces"]] == ["60020", "60020"]
    assert answers(stage, user) == []


def test_an_answer_that_cannot_be_delivered_is_replaced_by_a_sentence_that_says_so(
    stage: Stage, dify: FakeDify
) -> None:
    user, question = next(USERS), "太长"
    dify.scripts[question] = Script(seconds=LATE)
    stage.script("message/send", "errcode", code=45002)
    msg_id = stage.send(user, question)
    wait_for(lambda: state(stage, msg_id) == "failed")
    assert [text[:14] for text in answers(stage, user)] == ["抱歉，这个问题的回答没能发送给您"[:14]]
    assert [piece["state"] for piece in stage.timeline(msg_id)["pieces"]] == ["failed", "sent"]


def test_a_long_answer_comes_whole_in_numbered_pieces_in_order(
    stage: Stage, dify: FakeDify
) -> None:
    user, question = next(USERS), "很长"
    text = "".join(f"这是第{number}个句子。" for number in range(400))
    dify.scripts[question] = Script(text=text)
    settle_down(stage, user, stage.send(user, question))
    shown = answers(stage, user)
    assert [piece[:5] for piece in shown] == [
        f"({n}/{len(shown)})" for n in range(1, len(shown) + 1)
    ]
    assert "".join(piece[6:] for piece in shown) == text
    assert all(entry["bytes"] <= 2048 for entry in stage.seen(user))


def test_messages_of_one_person_are_answered_in_their_order(stage: Stage, dify: FakeDify) -> None:
    user = next(USERS)
    questions = [f"第{number}句" for number in range(6)]
    dify.scripts[questions[0]] = Script(seconds=0.8)
    stage.send(user, questions[0])
    wait_for(lambda: dify.runs)
    for question in questions[1:]:
        msg_id = stage.send(user, question)
        wait_for(lambda sent=msg_id: state(stage, sent))  # type: ignore[misc]  # bound in each round
    wait_for(lambda: len(answers(stage, user)) == len(questions))
    assert [run.query for run in dify.runs] == questions


def test_a_conversation_that_dify_forgot_begins_anew(stage: Stage, dify: FakeDify) -> None:
    user = next(USERS)
    settle_down(stage, user, stage.send(user, "eins"))
    dify.runs.clear()
    msg_id = stage.send(user, "zwei")
    wait_for(lambda: len(answers(stage, user)) == 2)
    settle_down(stage, user, msg_id)
    assert answers(stage, user)[1] == "答：zwei"
    assert len(dify.runs) == 1
