"""The OpenAI wire over real HTTP: shapes, limits, errors that name the field."""

import json

import httpx
import pytest

from tests.model.conftest import Server


def test_the_model_is_listed_with_its_context(server: Server) -> None:
    (model,) = server.http.get("/v1/models").json()["data"]
    assert (model["id"], model["type"]) == ("private-deepseek", "llm")
    assert (model["context_length"], model["max_output_tokens"]) == (2016, 2015)
    assert {"tool-call", "stream-tool-call", "structured-output", "thinking"} <= {
        *model["features"]
    }


def test_an_answer_has_openais_shape_and_its_usage(server: Server) -> None:
    body = server.chat(temperature=0).json()
    assert body["object"] == "chat.completion"
    assert isinstance(body["choices"][0]["message"]["content"], str)
    assert body["choices"][0]["finish_reason"] == "length"
    usage = body["usage"]
    assert usage["completion_tokens"] == 8
    assert usage["total_tokens"] == usage["prompt_tokens"] + 8


def test_a_stream_has_the_same_text_and_ends_with_usage_and_done(server: Server) -> None:
    whole = server.chat(temperature=0).json()
    *events, done = server.events(temperature=0)
    chunks = [json.loads(event) for event in events]
    text = "".join(c["choices"][0]["delta"].get("content", "") for c in chunks if c["choices"])
    assert done == "[DONE]"
    assert text == whole["choices"][0]["message"]["content"]
    assert chunks[-1]["usage"] == whole["usage"]
    assert chunks[-2]["choices"][0]["finish_reason"] == "length"


def test_greedy_answers_are_equal_and_sampled_ones_differ(server: Server) -> None:
    def text(**body: object) -> str:
        return str(server.chat(max_tokens=24, **body).json()["choices"][0]["message"]["content"])

    assert text(temperature=0) == text(temperature=0)
    assert len({text(temperature=2.0, top_p=1.0) for _ in range(4)}) > 1


def test_a_stop_string_ends_the_answer_before_it(server: Server) -> None:
    whole = server.chat(temperature=0, max_tokens=24).json()["choices"][0]["message"]["content"]
    stop = whole[4:6]
    choice = server.chat(temperature=0, max_tokens=24, stop=[stop]).json()["choices"][0]
    assert choice["finish_reason"] == "stop"
    assert choice["message"]["content"] == whole[: whole.index(stop)]


def test_a_prompt_that_opened_a_thought_gives_reasoning_first(server: Server) -> None:
    body = server.chat(temperature=0, chat_template_kwargs={"thinking": True}).json()
    message = body["choices"][0]["message"]
    assert message["reasoning_content"]
    assert message["content"] == ""


@pytest.mark.parametrize(
    "harmless",
    [
        {"user": "u", "n": 1, "tools": [], "logprobs": False, "presence_penalty": 0},
        {"enable_thinking": True, "thinking": {"type": "disabled"}, "reasoning_effort": "low"},
        {"stream_options": {"include_usage": True}, "response_format": {"type": "text"}},
        {"max_completion_tokens": 3, "max_tokens": None},
    ],
)
def test_what_dify_and_clients_send_besides_is_taken(
    server: Server, harmless: dict[str, object]
) -> None:
    assert server.chat(**harmless).status_code == 200


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"n": 2}, "n"),
        ({"tools": [{"type": "function"}]}, "tools.0.function"),
        ({"logprobs": True}, "logprobs"),
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"seed": "one"}, "seed"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
        ({"temperature": -1}, "temperature"),
        ({"temperature": 3}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "clown", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, None),
        ({"model": "gpt-4"}, "model"),
    ],
)
def test_what_this_server_cannot_do_is_refused_by_name(
    server: Server, wrong: dict[str, object], field: str | None
) -> None:
    answer = server.chat(**wrong)
    error = answer.json()["error"]
    assert answer.status_code == (404 if "model" in wrong else 400)
    assert set(error) == {"message", "type", "param", "code"}
    assert field is None or error["param"] == field


@pytest.mark.parametrize("stream", [False, True])
def test_a_prompt_that_does_not_fit_is_refused_before_the_engine_sees_it(
    server: Server, stream: bool
) -> None:
    messages = [{"role": "user", "content": "word " * 3000}]
    answer = server.chat(messages=messages, stream=stream)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "context_length_exceeded"
    assert server.chat().status_code == 200


def test_dify_checks_a_model_with_a_ping(server: Server) -> None:
    messages = [{"role": "user", "content": "ping"}]
    body = server.chat(messages=messages, max_tokens=5, stream=False).json()
    assert body["object"] == "chat.completion"


def test_a_key_is_needed_and_an_error_is_openais(server: Server) -> None:
    answer = httpx.post(f"{server.url}/v1/chat/completions", json=server.body(), trust_env=False)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "unauthorized"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff"])
def test_a_body_that_is_no_request_is_a_400(server: Server, body: bytes) -> None:
    answer = server.http.post("/v1/chat/completions", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"]
