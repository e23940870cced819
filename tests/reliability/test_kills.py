"""kill -9 while an answer is being made: it is shown once, and each run beyond the first is named in the ledger."""

import os
import random
import time

import psutil
import pytest

from playground.stage import Stage
from tests.fakes.dify import FakeDify, Script
from tests.reliability.waiting import USERS, answers, events, reasons, settle_down
from tests.waiting import wait_for

PROCESSES = ("worker", "web")
SOAK = os.environ.get("TEST_SOAK", "") not in ("", "0")


@pytest.mark.parametrize("process", PROCESSES)
def test_a_kill_while_the_app_works_shows_the_answer_once(
    stage: Stage, dify: FakeDify, process: str
) -> None:
    user, question = next(USERS), f"杀掉 {process}"
    dify.scripts[question] = Script(seconds=1.0)
    msg_id = stage.send(user, question)
    wait_for(lambda: dify.runs)
    stage.kill(process)
    timeline = settle_down(stage, user, msg_id)
    assert answers(stage, user) == [f"答：{question}"]
    assert len(dify.runs) <= (2 if process == "worker" else 1)
    assert len(reasons(timeline)) == len(dify.runs) - 1
    stage.wait_ready()


def test_a_kill_before_the_runs_first_event_finds_the_run_by_its_ticket(
    stage: Stage, dify: FakeDify
) -> None:
    user, question = next(USERS), "还没有第一个事件"
    dify.scripts[question] = Script(first_s=60)
    msg_id = stage.send(user, question)
    wait_for(lambda: dify.runs)
    dify.scripts.clear()
    stage.kill("worker")
    timeline = settle_down(stage, user, msg_id)
    assert answers(stage, user) == [f"答：{question}"]
    assert len(dify.runs) == 2
    assert reasons(timeline) == ["the answer of an earlier run was lost with its reader"]


def test_an_answer_that_dify_has_saved_is_used_and_not_asked_for_again(
    stage: Stage, dify: FakeDify
) -> None:
    user, question = next(USERS), "已经回答了"
    dify.scripts[question] = Script(seconds=60)
    msg_id = stage.send(user, question)
    wait_for(lambda: dify.runs)
    stage.kill("worker")
    dify.runs[0].answer = "存下的回答"  # Dify saved it in the moment of the kill
    timeline = settle_down(stage, user, msg_id)
    assert answers(stage, user) == ["存下的回答"]
    assert len(dify.runs) == 1
    assert "answer.found" in [event["name"] for event in timeline["events"]]


def test_a_kill_while_a_piece_is_on_its_way_shows_it_once(stage: Stage, dify: FakeDify) -> None:
    user, question = next(USERS), "正在发送"
    dify.scripts[question] = Script(seconds=2.3)
    stage.script("message/send", "slow_after", seconds=1.0)
    msg_id = stage.send(user, question)
    wait_for(lambda: answers(stage, user))
    stage.kill("worker")
    settle_down(stage, user, msg_id)
    assert answers(stage, user) == [f"答：{question}"]


def test_twenty_copies_at_once_run_the_app_once(stage: Stage, dify: FakeDify) -> None:
    user, question = next(USERS), "二十份"
    dify.scripts[question] = Script(seconds=0.5)
    msg_id = stage.send(user, question, copies=20)
    settle_down(stage, user, msg_id)
    wait_for(lambda: stage.timeline(msg_id)["message"]["connections"] >= 20)
    assert answers(stage, user) == [f"答：{question}"]
    assert len(dify.runs) == 1


def test_what_the_platform_has_cut_before_we_could_look_is_pushed(stage: Stage) -> None:
    user = next(USERS)
    master = psutil.Process(stage.pid("web"))
    web = [master, *master.children()]
    for process in web:
        process.suspend()
    try:
        msg_id = stage.send(user, "谁都没看见")
        time.sleep(
            16.5
        )  # every delivery is cut after 5 s, and all of them wait in the listening queue
    finally:
        for process in web:
            process.resume()
    timeline = settle_down(stage, user, msg_id)
    assert answers(stage, user) == ["答：谁都没看见"]
    assert timeline["message"]["mode"] == "push"


def test_two_equal_answers_in_a_row_are_both_shown(stage: Stage, dify: FakeDify) -> None:
    user = next(USERS)
    for question in ("第一个", "第二个"):
        dify.scripts[question] = Script(text="我不知道。", seconds=2.2)  # too late for passive
        settle_down(stage, user, stage.send(user, question))
    wait_for(lambda: len(answers(stage, user)) == 2)


@pytest.mark.thorough
@pytest.mark.timeout(300)
def test_random_kills_lose_nothing_and_show_nothing_twice(stage: Stage, dify: FakeDify) -> None:
    messages, kills = (200, 20) if SOAK else (80, 8)
    seed = int(os.environ.get("TEST_SEED", time.time()))
    print(f"seed {seed}")  # noqa: T201  (a failing run must be repeatable)
    chance = random.Random(seed)
    dify.default = Script(seconds=0.3)
    sent: dict[str, str] = {}
    killed = 0
    try:
        for number in range(messages):
            user = f"kills{number:04d}"
            sent[user] = stage.send(user, f"问题 {number}")
            time.sleep(chance.uniform(0.02, 0.25))
            if number * kills >= killed * messages + chance.randrange(messages) and killed < kills:
                stage.kill(chance.choice(PROCESSES))
                killed += 1
        wait_for(lambda: not missing(stage, sent), 120, lambda: missing(stage, sent))
        time.sleep(6)  # a second answer, by the sweeper too, would have come by now
    finally:
        dify.default = Script()
    shown = {user: answers(stage, user) for user in sent}
    assert {user: len(texts) for user, texts in shown.items() if len(texts) != 1} == {}
    named = [reason for msg_id in sent.values() for reason in reasons(stage.timeline(msg_id))]
    extra = len(dify.runs) - messages
    print(f"{messages} messages, {killed} kills, {extra} extra runs, {len(named)} named")  # noqa: T201
    assert killed > 0
    assert extra <= killed
    assert len(named) >= extra


def missing(stage: Stage, sent: dict[str, str]) -> dict[str, list[str]]:
    """Users who see no answer yet, with what the ledger knows of their messages."""
    return {user: events(stage, sent[user]) for user in sent if not answers(stage, user)}
