"""Asking again after a worker died: the answer that is there is used, what is lost is asked for once more and named."""

import httpx
import pytest
import sqlalchemy as sa

from tests.channel.desk import Desk, texts
from tests.fakes.dify import FakeDify, Script
from tests.waiting import wait_for
from tool_server.channel.job import Job
from tool_server.channel.schema import events


def lost(desk: Desk, dify: FakeDify, *, started: bool = True, seconds: float = 20.0) -> Job:
    """A message whose worker died while the app was at it; leased by the next."""
    desk.claim("问")
    job = desk.lease()
    desk.work.fill_ticket(job, desk.people.asker("acc", desk.account, job.user))
    question = {"query": "问", "inputs": {"ticket": job.ticket}}
    body = {**question, "user": "zhang", "response_mode": "streaming"}
    dify.scripts["问"] = Script(seconds=seconds)
    headers = {"Authorization": "Bearer app-test"}
    with httpx.stream("POST", f"{dify.url}/chat-messages", json=body, headers=headers) as stream:
        next(stream.iter_lines())
    run = dify.runs[-1]
    if started:
        desk.work.run_started(
            job,
            task=f"task-{run.message}",
            message=run.message,
            conversation=run.conversation,
            run=f"run-{run.message}",
            again="",
        )
    desk.work.take_from("one")
    dify.scripts.clear()
    return desk.lease()


def again(desk: Desk) -> list[str]:
    """Why the app was asked again."""
    started = sa.select(events.c.data).where(events.c.name == "run.started")
    found = desk.database.read(lambda db: list(db.scalars(started)))
    return [data for data in found if '"again": ""' not in data]


@pytest.mark.parametrize("started", [True, False])
def test_an_answer_that_dify_has_is_used(desk: Desk, dify: FakeDify, started: bool) -> None:
    job = lost(desk, dify, started=started)
    dify.runs[0].answer = "存下的回答"
    composed = desk.answer(job)
    assert composed is not None
    assert texts(composed) == ["存下的回答"]
    assert len(dify.runs) == 1


@pytest.mark.parametrize("started", [True, False])
def test_an_answer_that_was_lost_with_its_reader_is_asked_for_again(
    desk: Desk, dify: FakeDify, started: bool
) -> None:
    job = lost(desk, dify, started=started)
    composed = desk.answer(job)
    assert composed is not None
    assert texts(composed) == ["答：问"]
    assert len(dify.runs) == 2
    assert len(again(desk)) == 1
    assert dify.runs[0].stopped == started  # without its first event nobody knows the task


def test_a_run_that_dify_goes_on_with_is_waited_for(desk: Desk, dify: FakeDify) -> None:
    dify.keeps_runs = True
    composed = desk.answer(lost(desk, dify, seconds=2.0))
    assert composed is not None
    assert texts(composed) == ["答：问"]
    assert composed.conversation == dify.runs[0].conversation
    assert len(dify.runs) == 1
    assert not dify.runs[0].answer  # of the message itself Dify has kept nothing


def test_a_run_that_takes_too_long_without_its_reader_is_stopped_and_asked_for_again(
    desk: Desk, dify: FakeDify
) -> None:
    dify.keeps_runs = True
    object.__setattr__(desk.asking.composer.asker, "outlive_s", 0.2)
    composed = desk.answer(lost(desk, dify))
    assert composed is not None
    assert texts(composed) == ["答：问"]
    assert [run.stopped for run in dify.runs] == [True, False]
    assert len(again(desk)) == 1


def test_a_run_that_is_waited_for_is_stopped_by_its_person(desk: Desk, dify: FakeDify) -> None:
    dify.keeps_runs = True
    job = lost(desk, dify)
    stop = desk.claim("/stop")
    urgent = desk.work.lease(quick=True)
    assert urgent is not None
    assert urgent.id == stop
    desk.work.stop_conversation(urgent)
    composed = desk.answer(job)
    assert composed is not None
    assert "停" in texts(composed)[0]
    assert [run.stopped for run in dify.runs] == [True]


def test_a_run_that_dify_has_no_record_of_is_asked_for_again(desk: Desk, dify: FakeDify) -> None:
    job = lost(desk, dify)
    dify.runs.clear()
    composed = desk.answer(job)
    assert composed is not None
    assert texts(composed) == ["答：问"]
    assert len(dify.runs) == 1
    assert "no run on record" in again(desk)[0]


def test_a_run_that_failed_is_not_asked_for_again(desk: Desk, dify: FakeDify) -> None:
    job = lost(desk, dify)
    dify.runs[0].status = "error"
    composed = desk.answer(job)
    assert composed is not None
    assert texts(composed)[0].startswith("抱歉，这个问题我暂时没能回答")
    assert len(dify.runs) == 1


def test_the_second_run_goes_on_where_the_first_began(desk: Desk, dify: FakeDify) -> None:
    """Its ticket is bound to that conversation: in another one it would open nothing."""
    desk.answer(lost(desk, dify))
    first, second = dify.runs
    assert first.conversation == second.conversation
    assert first.inputs == second.inputs


def test_a_run_in_another_conversation_has_a_ticket_of_its_own(desk: Desk, dify: FakeDify) -> None:
    desk.say("先")
    desk.answer(lost(desk, dify))
    kept, first, second = dify.runs
    assert kept.conversation == second.conversation != first.conversation
    assert first.inputs != second.inputs


def test_a_run_that_takes_too_long_is_stopped_and_its_person_told(
    desk: Desk, dify: FakeDify
) -> None:
    object.__setattr__(desk.asking.dify, "_ask_timeout_s", 0.3)
    dify.default = Script(nodes=tuple(("llm", str(n), 0.3) for n in range(3)))
    assert desk.say("慢")[0].startswith("抱歉，这个问题处理得太久")
    wait_for(lambda: dify.runs[0].stopped)


@pytest.mark.parametrize(
    ("script", "beginning"),
    [
        (Script(status=401, code="unauthorized"), "抱歉，助手还没有配置好"),
        (Script(status=400, code="provider_quota_exceeded"), "抱歉，现在请求太多"),
        (Script(status=400, code="model_currently_not_support"), "抱歉，这个问题我暂时没能回答"),
    ],
)
def test_each_error_of_dify_has_its_sentence(
    desk: Desk, dify: FakeDify, script: Script, beginning: str
) -> None:
    dify.default = script
    assert desk.say("问")[0].startswith(beginning)
