"""The Service API's client against a scripted app over real HTTP."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.channel.conftest import make_account
from tests.fakes.dify import FakeDify, Script
from tool_server.channel.account import Account
from tool_server.channel.dify import (
    Answered,
    Dify,
    DifyError,
    Growing,
    Question,
    Started,
    UnknownConversation,
)

QUESTION = Question("年假有几天？", "zhang", "", "ticket-1")


@pytest.fixture
def fake() -> Iterator[FakeDify]:
    with FakeDify() as fake:
        yield fake


@pytest.fixture
def account(fake: FakeDify) -> Account:
    return make_account(dify_url=fake.url)


@pytest.fixture
def dify() -> Iterator[Dify]:
    dify = Dify(ask_timeout_s=10)
    yield dify
    dify.close()


def test_a_run_gives_its_ids_first_and_its_whole_answer_last(
    dify: Dify, account: Account, fake: FakeDify
) -> None:
    fake.default = Script(text="12 天", sources=({"document_name": "手册", "content": "12 天"},))
    started, *growing, answered = dify.ask(account, QUESTION)
    assert isinstance(started, Started)
    assert growing[-1] == Growing("12 天", "")
    assert isinstance(answered, Answered)
    assert answered.text == "12 天"
    assert answered.sources[0].title == "手册"
    assert started.conversation == answered.conversation == fake.runs[0].conversation
    assert fake.runs[0].inputs == {"ticket": "ticket-1"}


@pytest.mark.parametrize(
    ("script", "code", "retry"),
    [
        (Script(status=401, code="unauthorized"), "unauthorized", False),
        (Script(status=503, code="busy"), "busy", True),
        (Script(status=429, code="too_many_requests"), "too_many_requests", True),
        (Script(status=400, code="app_unavailable"), "app_unavailable", False),
        (Script(run_error=True), "completion_request_error", False),
    ],
)
def test_an_error_says_whether_another_try_may_help(
    dify: Dify, account: Account, fake: FakeDify, script: Script, code: str, retry: bool
) -> None:
    fake.default = script
    with pytest.raises(DifyError) as caught:
        list(dify.ask(account, QUESTION))
    assert (caught.value.code, caught.value.retry) == (code, retry)


def test_a_dify_that_is_away_may_be_tried_again(dify: Dify) -> None:
    with pytest.raises(DifyError) as caught:
        list(dify.ask(make_account(), QUESTION))
    assert (caught.value.code, caught.value.retry) == ("unreachable", True)


def test_a_conversation_that_dify_forgot_is_told_apart(dify: Dify, account: Account) -> None:
    with pytest.raises(UnknownConversation):
        list(dify.ask(account, replace(QUESTION, conversation="gone")))
    with pytest.raises(UnknownConversation):
        dify.find(account, replace(QUESTION, conversation="gone"), "m")


def test_an_app_that_takes_too_long_is_left(account: Account, fake: FakeDify) -> None:
    fake.default = Script(seconds=3)
    with pytest.raises(DifyError) as caught:
        list(Dify(ask_timeout_s=0.0).ask(account, QUESTION))
    assert caught.value.code == "timeout"


def test_a_run_is_found_by_its_ticket_before_its_id_is_known(
    dify: Dify, account: Account, fake: FakeDify
) -> None:
    list(dify.ask(account, replace(QUESTION, ticket="another")))
    list(dify.ask(account, QUESTION))
    found = dify.find(account, QUESTION, "")
    assert found is not None
    assert found.message == fake.runs[1].message
    assert dify.find(account, replace(QUESTION, ticket="unknown"), "") is None


def test_a_run_whose_reader_left_has_no_answer(
    dify: Dify, account: Account, fake: FakeDify
) -> None:
    fake.default = Script(seconds=0.3)
    events = dify.ask(account, QUESTION)
    started = next(events)
    assert isinstance(started, Started)
    events.close()  # type: ignore[attr-defined]
    found = dify.find(account, QUESTION, started.message)
    assert found is not None
    assert (found.text, found.failed) == ("", False)
    dify.stop(account, started.task, QUESTION.user)
    assert fake.runs[0].stopped


def test_what_an_app_declares_is_read(dify: Dify, account: Account) -> None:
    assert dify.parameters(account)["user_input_form"][0]["text-input"]["variable"] == "ticket"
