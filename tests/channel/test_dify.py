"""The Service API's client against a scripted app over real HTTP."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.channel.conftest import make_account
from tests.fakes.dify import FakeDify, Script
from tool_server.channel.account import Account
from tool_server.channel.dify import (
    Answered,
    Attachment,
    Dify,
    DifyError,
    Growing,
    Produced,
    Question,
    Source,
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
    assert answered.sources == (Source("手册", "12 天"),)
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


def test_a_conversation_that_is_unknown_may_come_as_a_400_that_says_nothing(
    dify: Dify, account: Account, fake: FakeDify
) -> None:
    fake.default = Script(status=400, code="", empty_message=True)
    with pytest.raises(UnknownConversation):
        list(dify.ask(account, replace(QUESTION, conversation="gone")))
    with pytest.raises(DifyError) as caught:
        list(dify.ask(account, QUESTION))
    assert not isinstance(caught.value, UnknownConversation)


def test_progress_is_the_title_of_a_node_that_tells_something(
    dify: Dify, account: Account, fake: FakeDify
) -> None:
    nodes = (
        ("start", "开始", 0.0),
        ("tool", "检索知识库", 0.0),
        ("if-else", "有答案吗", 0.0),
        ("llm", "生成回答", 0.0),
    )
    fake.default = Script(text="好", nodes=nodes)
    growing = [event for event in dify.ask(account, QUESTION) if isinstance(event, Growing)]
    titles = list(dict.fromkeys(one.progress for one in growing if not one.text))
    assert titles == ["", "检索知识库", "生成回答"]


def test_files_go_with_the_question_and_belong_to_its_person(
    dify: Dify, account: Account, fake: FakeDify
) -> None:
    upload_id = dify.upload(account, "zhang", "图.png", b"png", "image/png")
    assert fake.uploads == [("zhang", "图.png", b"png")]
    question = replace(QUESTION, attachments=(Attachment("image", upload_id),))
    list(dify.ask(account, question))
    assert [file["upload_file_id"] for file in fake.runs[0].files] == [upload_id]
    with pytest.raises(DifyError) as caught:
        list(dify.ask(account, replace(question, user="li")))
    assert caught.value.code == "invalid_param"


def test_what_an_app_produced_comes_with_its_answer_once_each(
    dify: Dify, account: Account, fake: FakeDify
) -> None:
    fake.default = Script(
        text="看 ![图](/files/1/preview?sign=a) 和 [表](/files/2) 与 [外链](https://example.com/x)",
        files=({"type": "document", "url": "/files/3", "filename": "三.pdf"},),
        message_files=(
            {"type": "image", "url": "/files/1/preview?sign=a", "belongs_to": "assistant"},
            {"type": "image", "url": "/files/9", "belongs_to": "user"},
        ),
    )
    *_, answered = dify.ask(account, QUESTION)
    assert isinstance(answered, Answered)
    base = fake.url.removesuffix("/v1")
    assert set(answered.files) == {
        Produced("image", f"{base}/files/1/preview?sign=a"),
        Produced("file", f"{base}/files/3", "三.pdf"),
        Produced("file", f"{base}/files/2", "表"),
    }


def test_a_stop_that_dify_does_not_hear_is_told(dify: Dify, account: Account) -> None:
    assert dify.stop(account, "task", "zhang")
    assert not dify.stop(make_account(), "task", "zhang")
