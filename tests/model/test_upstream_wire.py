"""The backend `upstream` over real HTTP: what goes on of a request, what comes back of an answer, what stays secret."""

import json
from pathlib import Path

import httpx
import pytest

from tests.fakes.upstream import WORDS, FakeUpstream, Plan
from tests.model.upstream_server import UpstreamServer, text_of
from tests.waiting import wait_for

TEXT = "".join(WORDS)


def test_what_a_client_asks_for_goes_on_within_our_limits(
    single: UpstreamServer, fakes: list[FakeUpstream]
) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
    passed = {
        "temperature": 0.1,
        "top_p": 0.5,
        "top_k": 3,
        "min_p": 0.1,
        "seed": 4,
        "stop": ["x"],
        "presence_penalty": 0.2,
        "frequency_penalty": 0.3,
        "repetition_penalty": 1.1,
        "tools": [tool],
        "tool_choice": "auto",
        "chat_template_kwargs": {"enable_thinking": False},
    }
    schema = {"type": "object", "properties": {}}
    single.text(
        max_tokens=999_999,
        user="somebody",
        enable_thinking=True,
        response_format={"type": "json_schema", "json_schema": schema},
        messages=[
            {
                "role": "developer",
                "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
            },
            {"role": "user", "content": "c", "private": "p"},
            {
                "role": "assistant",
                "content": None,
                "reasoning_content": "old",
                "tool_calls": [{"id": "1"}],
            },
            {"role": "tool", "content": "d", "tool_call_id": "1"},
        ],
        **passed,
    )
    body = fakes[0].bodies[0]
    assert {name: body[name] for name in passed} == passed
    assert body["max_tokens"] == 4095  # the upstream's context, less one
    assert body["response_format"]["json_schema"] == {"name": "answer", "schema": schema}
    assert body["stream_options"] == {"include_usage": True}
    assert not {"user", "enable_thinking", "private"} & set(body)
    assert body["messages"] == [
        {"role": "system", "content": "ab"},
        {"role": "user", "content": "c"},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
        {"role": "tool", "content": "d", "tool_call_id": "1"},
    ]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"audio": {}}, "audio"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "clown", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, None),
        ({"max_tokens": 0}, "max_tokens"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"temperature": float("nan")}, None),
    ],
)
def test_what_cannot_be_done_never_reaches_an_upstream(
    single: UpstreamServer, fakes: list[FakeUpstream], wrong: dict[str, object], field: str | None
) -> None:
    content = json.dumps(single.body(**wrong))
    answer = single.http.post("/v1/chat/completions", content=content)
    assert answer.status_code == 400
    assert field is None or answer.json()["error"]["param"] == field
    assert fakes[0].bodies == []


def test_tool_calls_come_as_openais_deltas(
    single: UpstreamServer, fakes: list[FakeUpstream]
) -> None:
    def call(index: int, **call: object) -> dict[str, object]:
        return {"tool_calls": [{"index": index, **call}]}

    fakes[0].plan = Plan(
        deltas=(
            call(0, id="a", type="function", function={"name": "f", "arguments": ""}),
            call(0, function={"arguments": '{"x"'}),
            call(0, function={"arguments": ": 1}"}),
            call(1, id="b", type="function", function={"name": "g", "arguments": "{}"}),
        ),
        finish="tool_calls",
    )
    chunks = single.chunks()
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]
    calls = [delta["tool_calls"][0] for delta in deltas if "tool_calls" in delta]
    assert [call.get("id") for call in calls] == ["a", None, None, "b"]
    assert calls[0]["function"] == {"name": "f", "arguments": ""}
    choice = single.chat().json()["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["tool_calls"] == [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}},
        {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
    ]


def deltas(*parts: str, field: str = "content") -> tuple[dict[str, str], ...]:
    return tuple({field: part} for part in parts)


@pytest.mark.parametrize(
    ("sent", "model"),
    [
        (deltas("why", field="reasoning_content") + deltas("yes"), "m"),
        (deltas("why", field="reasoning") + deltas("yes"), "DeepSeek-R1"),
        (deltas("<thi", "nk>\nwhy</th", "ink>\n\nyes"), "m"),
        (deltas("why</th", "ink>", "\n\nyes"), "DeepSeek-R1-Distill-Qwen-7B"),
        (deltas("<think>", "why", "</think>yes"), "DeepSeek-R1-0528"),
    ],
    ids=["parsed", "vllms newer name", "tagged", "lone close", "tagged r1"],
)
@pytest.mark.parametrize("stream", [False, True])
def test_reasoning_is_told_from_the_answer_however_it_comes(
    tmp_path: Path, sent: tuple[dict[str, str], ...], model: str, stream: bool
) -> None:
    with FakeUpstream(model=model) as fake, UpstreamServer(tmp_path, fake.url) as server:
        fake.plan = Plan(deltas=sent)
        if stream:
            chunks = server.chunks()
            got = (text_of(chunks, "reasoning_content"), text_of(chunks))
        else:
            message = server.chat().json()["choices"][0]["message"]
            got = (message["reasoning_content"], message["content"])
    assert got == ("why", "yes")


def test_a_name_that_promised_a_thought_loses_no_answer_without_one(tmp_path: Path) -> None:
    with FakeUpstream(model="r1-distill") as fake, UpstreamServer(tmp_path, fake.url) as server:
        fake.plan = Plan(deltas=deltas("just ", "this"))
        assert text_of(server.chunks()) == "just this"
        assert server.text() == "just this"
        schema = {"type": "json_object"}
        assert text_of(server.chunks(response_format=schema), "reasoning_content") == ""


def test_the_key_goes_to_the_upstream_and_nowhere_else(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    key = "upstream-secret-key"
    with (
        FakeUpstream(key=key) as fake,
        UpstreamServer(tmp_path, fake.url, model_upstream_key=key, log_level="debug") as server,
    ):
        assert server.text() == TEXT
        fake.plan = Plan(status=400, body=json.dumps({"error": {"message": f"bad key {key}"}}))
        assert key not in server.chat().text
        fake.key = "another"
        assert server.chat().status_code == 503
        fake.stop()
        assert server.chat().status_code == 503
        assert key not in repr(server.settings)
        assert key not in server.http.get("/metrics").text
    written = capfd.readouterr()
    assert "upstream.failed" in written.out
    assert key not in written.out + written.err


def test_metrics_count_calls_by_upstream_and_result(
    pair: UpstreamServer, fakes: list[FakeUpstream]
) -> None:
    fakes[0].plan = Plan(status=502)
    pair.text()
    pair.text()
    name = "shenqiao_model_upstream_calls_total"
    moved = pair.metric(name, upstream=fakes[0].name, result="moved")
    assert moved == len(fakes[0].bodies) > 0
    assert pair.metric(name, upstream=fakes[1].name, result="answered") == 2
    assert pair.metric("shenqiao_model_tokens_total", kind="completion") == 8


def test_a_stream_that_its_client_leaves_is_left_upstream(
    single: UpstreamServer, fakes: list[FakeUpstream]
) -> None:
    fakes[0].plan = Plan(silent_after=0)
    with single.http.stream(
        "POST", "/v1/chat/completions", json=single.body(stream=True)
    ) as answer:
        assert answer.status_code == 200
        wait_for(lambda: fakes[0].running == 1)
    assert wait_for(lambda: bool(fakes[0].left)) < 2.5
    fakes[0].plan = Plan()
    assert [single.text() for _ in range(4)] == [TEXT] * 4  # its place is free again


def test_a_connection_is_used_again(single: UpstreamServer, fakes: list[FakeUpstream]) -> None:
    for _ in range(3):
        single.text()
    assert len(fakes[0]._connections) <= 2  # one of calls, one of probes


def test_the_openai_client_reads_an_answer(single: UpstreamServer) -> None:
    openai = pytest.importorskip("openai")
    with openai.OpenAI(
        base_url=f"{single.url}/v1",
        api_key=single.http.headers["Authorization"].removeprefix("Bearer "),
        http_client=httpx.Client(trust_env=False),
    ) as client:
        messages = [{"role": "user", "content": "hi"}]
        stream = client.chat.completions.create(
            model="private-deepseek", messages=messages, stream=True
        )
        text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    assert text == TEXT
