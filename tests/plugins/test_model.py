"""Package B's model as the SDK calls it: answers streamed and whole, what is no answer, errors by their class."""

from collections.abc import Sequence

import pytest
from dify_plugin.entities.model.llm import LLMResultChunk
from dify_plugin.entities.model.message import (
    AssistantPromptMessage,
    PromptMessage,
    SystemPromptMessage,
    UserPromptMessage,
)
from dify_plugin.errors.model import (
    CredentialsValidateFailedError,
    InvokeAuthorizationError,
    InvokeBadRequestError,
    InvokeConnectionError,
    InvokeError,
    InvokeRateLimitError,
    InvokeServerUnavailableError,
)
from models import openai_wire, prompts, tokens
from models.openai_wire import ModelServer

from tests.plugins.private_models import DONE, STOP, USAGE, credentials, data, delta, make
from tests.plugins.raw_server import RawServer

WHOLE = (": alive\n\n", delta(content="12 "), delta(content="天"), STOP, USAGE, DONE)


def complete(
    server: RawServer, *, stream: bool = True, messages: Sequence[PromptMessage] = ()
) -> list[LLMResultChunk]:
    return list(
        make("llm").invoke(
            "private-deepseek",
            credentials(server),
            list(messages) or [UserPromptMessage(content="年假？")],
            {"temperature": 0},
            stream=stream,
        )
    )


def text(chunks: list[LLMResultChunk]) -> str:
    return "".join(str(chunk.delta.message.content) for chunk in chunks)


@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_is_the_same_streamed_and_whole(server: RawServer, stream: bool) -> None:
    server.answers(*WHOLE)
    chunks = complete(server, stream=stream)
    assert text(chunks) == "12 天"
    assert len(chunks) == (3 if stream else 1)
    usage = chunks[-1].delta.usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (5, 2, 7)


@pytest.mark.parametrize(
    ("deltas", "shown"),
    [
        (
            [{"reasoning_content": "a"}, {"reasoning_content": "b"}, {"content": "c"}],
            "<think>\nab\n</think>\nc",
        ),
        ([{"reasoning_content": "a", "content": "b"}], "<think>\na\n</think>\nb"),
        ([{"reasoning_content": "a"}], "<think>\na\n</think>\n"),
    ],
)
def test_reasoning_stands_in_think_tags_that_are_always_closed(
    server: RawServer, deltas: list[dict[str, str]], shown: str
) -> None:
    server.answers(*[delta(**fields) for fields in deltas], STOP, USAGE, DONE)
    assert text(complete(server)) == shown


def test_an_engine_that_sends_no_usage_gets_an_estimate(server: RawServer) -> None:
    server.answers(delta(content="十二天"), STOP, DONE)
    usage = complete(server)[-1].delta.usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (6, 2)


def test_empty_fields_and_other_line_ends_are_understood(server: RawServer) -> None:
    empty = data(choices=None, usage=None)
    server.answers(empty, *[part.replace("\n", "\r\n") for part in WHOLE], headers="X-A: b")
    assert text(complete(server)) == "12 天"


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    "parts",
    [
        [delta(content="12 ")],
        [delta(content="12 "), DONE],
        [delta(content="12 "), "data: {oops\n\n"],
        [delta(content="12 "), "data: [1]\n\n"],
        [delta(content="12 "), data(error={"message": "The engine failed."}), DONE],
        [delta(content="12 "), data(error="trouble in /root"), DONE],
        ["<html>Welcome"],
        [],
    ],
    ids=["cut", "no reason", "broken", "list", "error", "odd error", "page", "empty"],
)
def test_what_is_no_whole_answer_is_an_error_and_no_short_answer(
    server: RawServer, parts: list[str], stream: bool
) -> None:
    server.answers(*parts)
    with pytest.raises(InvokeServerUnavailableError) as caught:
        complete(server, stream=stream)
    assert "root" not in str(caught.value)


def test_an_engines_own_sentence_is_handed_on(server: RawServer) -> None:
    server.answers(delta(content="12 "), data(error={"message": "The engine failed."}), DONE)
    with pytest.raises(InvokeServerUnavailableError) as caught:
        complete(server)
    assert str(caught.value) == "The engine failed."


def test_a_connection_that_breaks_inside_an_answer_is_an_error(server: RawServer) -> None:
    server.answers(*WHOLE, headers="Content-Length: 9999")
    with pytest.raises(InvokeConnectionError, match="cut off"):
        complete(server)


def test_an_answer_that_never_ends_is_given_up(server: RawServer) -> None:
    server.answers(*WHOLE[:-1])
    clock = iter([0.0, 1.0, openai_wire.ANSWER_S + 1])
    model = ModelServer(server.url, "sq-key")
    with pytest.raises(InvokeServerUnavailableError, match="in time"):
        list(model.stream({}, clock=lambda: next(clock)))


def test_a_server_that_falls_silent_is_given_up(
    server: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openai_wire, "SILENCE_S", 0.1)
    server.answers(*WHOLE)
    server.pause_s = 0.5
    with pytest.raises(InvokeConnectionError, match="in time"):
        complete(server)


@pytest.mark.parametrize(
    ("status", "kind", "sentence"),
    [
        (301, InvokeBadRequestError, "check the URL"),
        (400, InvokeBadRequestError, "by script"),
        (401, InvokeAuthorizationError, "key"),
        (403, InvokeAuthorizationError, 'scope "model"'),
        (404, InvokeBadRequestError, "by script"),
        (429, InvokeRateLimitError, "by script Try again in 7 seconds."),
        (500, InvokeServerUnavailableError, "by script"),
        (503, InvokeServerUnavailableError, "by script"),
    ],
)
def test_a_status_is_an_error_of_its_class(
    server: RawServer, status: int, kind: type[InvokeError], sentence: str
) -> None:
    body = "" if status == 301 else '{"error": {"message": "by script"}}'
    server.answers(body, status=status, headers="Retry-After: 7")
    with pytest.raises(InvokeError, match=sentence) as caught:
        complete(server)
    assert type(caught.value) is kind
    with pytest.raises(kind):
        complete(server, stream=False)


@pytest.mark.parametrize(
    ("status", "sentence"),
    [(502, "The model server is away."), (429, "The model is busy. Try again in a few seconds.")],
)
def test_a_proxys_page_is_not_shown(server: RawServer, status: int, sentence: str) -> None:
    server.answers(
        "<html>nginx", status=status, headers="Retry-After: Wed, 01 Jan 2031 00:00:00 GMT"
    )
    with pytest.raises(InvokeError) as caught:
        complete(server)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("http://127.0.0.1:9", "k"),
        ("no url", "k"),
        ("http://[::1", "k"),
        ("", "k"),
        ("http://127.0.0.1:9", "密"),
    ],
)
def test_a_form_that_cannot_be_right_is_refused_with_a_sentence(url: str, key: str) -> None:
    model = make("llm")
    with pytest.raises(CredentialsValidateFailedError, match=r"URL|key"):
        model.validate_credentials("private-deepseek", {"server_url": url, "api_key": key})


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/"])
def test_a_url_is_taken_with_and_without_v1(server: RawServer, suffix: str) -> None:
    server.answers('{"object": "list", "data": [{"id": "private-deepseek", "x": 1}]}')
    assert [m.id for m in ModelServer(server.url + suffix, "k").models()] == ["private-deepseek"]
    assert server.heads[0].startswith(b"GET /v1/models ")


def test_another_servers_page_is_no_list_of_models(server: RawServer) -> None:
    server.answers("<html>Welcome")
    with pytest.raises(InvokeBadRequestError, match="check the URL"):
        ModelServer(server.url, "k").models()


def test_reasoning_of_earlier_answers_is_not_sent_again() -> None:
    history = [
        SystemPromptMessage(content="<think>rules</think>"),
        AssistantPromptMessage(content="<think>\nlong\n</think>\n12 天"),
        UserPromptMessage(content="<think>x</think>?"),
    ]
    sent = [message["content"] for message in prompts.body("m", history, {})["messages"]]
    assert sent == ["<think>rules</think>", "12 天", "<think>x</think>?"]
    assert tokens.of_prompt(history[1:2]) == 4 + 2


def test_a_hostile_history_costs_no_time() -> None:
    hostile = AssistantPromptMessage(content="<think>" * 200_000)
    assert len(prompts.text_of(hostile)) == 7 * 200_000
