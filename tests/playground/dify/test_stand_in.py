"""Dify's stand-in over HTTP: the workflow's four ways, and the hardness of the Service API."""

import json
import threading
import time
from typing import Any

import httpx
import pytest

from tests.playground.dify.apps import USER, Apps, ScriptedServer, answer_of


@pytest.fixture
def http(apps: Apps) -> httpx.Client:
    return apps.open("knowledge_assistant").http


@pytest.fixture
def server(apps: Apps, scripted: ScriptedServer) -> ScriptedServer:
    """Reset, because `apps` has come before."""
    del apps
    return scripted


def ask(http: httpx.Client, query: str = "年假有几天？", **more: Any) -> list[dict[str, Any]]:
    """The events of a streamed message."""
    body = {"query": query, "user": USER, "inputs": {}, "response_mode": "streaming", **more}
    text = http.post("/v1/chat-messages", json=body).text
    return [json.loads(part.removeprefix("data: ")) for part in text.split("\n\n") if part]


def row(http: httpx.Client, events: list[dict[str, Any]]) -> dict[str, Any]:
    query = {"conversation_id": events[0]["conversation_id"], "user": USER}
    return dict(http.get("/v1/messages", params=query).json()["data"][-1])


def test_a_covered_question_is_answered_with_citations(http: httpx.Client) -> None:
    events = ask(http)
    kinds = [event["event"] for event in events]
    assert kinds[0] == "workflow_started"
    assert kinds[-2:] == ["workflow_finished", "message_end"]
    assert answer_of(events) == "12 天"
    (resource,) = events[-1]["metadata"]["retriever_resources"]
    assert (resource["document_name"], resource["position"]) == ("员工手册 › 年假", 1)
    for event in events:
        assert {"task_id", "message_id", "conversation_id", "created_at"} <= set(event)
    assert row(http, events)["answer"] == "12 天"


@pytest.mark.parametrize(
    ("query", "beginning"),
    [("股票代码？", "抱歉，我在资料里没有找到"), ("Stock?", "Sorry, I found no answer")],
)
def test_an_uncovered_question_gets_the_sentence_of_its_language(
    http: httpx.Client, server: ScriptedServer, query: str, beginning: str
) -> None:
    server.found = False
    chats = len(server.chats)
    assert answer_of(ask(http, query)).startswith(beginning)
    assert len(server.chats) == chats


def test_a_search_that_fails_ends_in_an_honest_sentence(
    http: httpx.Client, server: ScriptedServer
) -> None:
    server.status = 503
    events = ask(http)
    assert answer_of(events).startswith("抱歉，资料检索暂时不可用")
    assert events[-2]["data"]["status"] == "partial-succeeded"


@pytest.mark.parametrize(
    ("query", "beginning"),
    [("年假？", "抱歉，我现在无法生成回答"), ("Leave?", "Sorry, I cannot write")],
)
def test_a_model_that_fails_ends_in_an_honest_sentence(
    http: httpx.Client, server: ScriptedServer, query: str, beginning: str
) -> None:
    server.break_stream = True
    assert answer_of(ask(http, query)).startswith(beginning)


def test_the_conversation_so_far_reaches_the_model(
    http: httpx.Client, server: ScriptedServer
) -> None:
    first = ask(http, "第一个问题")
    ask(http, "第二个问题", conversation_id=first[0]["conversation_id"])
    contents = [message["content"] for message in server.chats[-1]["messages"]]
    assert contents[1:] == ["第一个问题", "12 天", "第二个问题"]
    assert "<passages>\n[1] 员工手册 › 年假" in contents[0]


def test_only_declared_inputs_are_kept(http: httpx.Client, server: ScriptedServer) -> None:
    events = ask(http, inputs={"ticket": "t-1", "secret": "x"})
    assert row(http, events)["inputs"] == {"ticket": "t-1"}
    assert server.searches[-1]["ticket"] == "t-1"


def test_a_reader_that_leaves_costs_the_answer(http: httpx.Client, server: ScriptedServer) -> None:
    server.slow_s = 0.5
    body = {"query": "q", "user": USER, "inputs": {}, "response_mode": "streaming"}
    with http.stream("POST", "/v1/chat-messages", json=body) as stream:
        first = json.loads(next(stream.iter_lines()).removeprefix("data: "))
    time.sleep(2.5)
    assert row(http, [first])["answer"] == ""


def test_a_run_can_be_stopped(http: httpx.Client, server: ScriptedServer) -> None:
    http.post("/playground/slow", json={"seconds": 100, "runs": 1})
    body = {"query": "q", "user": USER, "inputs": {}, "response_mode": "streaming"}
    started = time.monotonic()
    with http.stream("POST", "/v1/chat-messages", json=body) as stream:
        lines = (line for line in stream.iter_lines() if line)
        first = json.loads(next(lines).removeprefix("data: "))
        stopping = threading.Timer(
            0.5,
            lambda: httpx.post(
                f"{str(http.base_url).rstrip('/')}/v1/chat-messages/{first['task_id']}/stop",
                json={"user": USER},
                headers=http.headers,
                trust_env=False,
            ),
        )
        stopping.start()
        list(lines)
    assert time.monotonic() - started < 60


def test_blocking_mode_gives_one_body(http: httpx.Client) -> None:
    body = {"query": "q", "user": USER, "inputs": {}, "response_mode": "blocking"}
    answer = http.post("/v1/chat-messages", json=body).json()
    assert (answer["event"], answer["mode"], answer["answer"]) == (
        "message",
        "advanced-chat",
        "12 天",
    )
    assert answer["metadata"]["retriever_resources"]


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"query": ""}, 400, "invalid_param"),
        ({"user": ""}, 400, "invalid_param"),
        ({"inputs": None}, 400, "invalid_param"),
        ({"conversation_id": "00000000-0000-0000-0000-000000000000"}, 404, "not_found"),
    ],
)
def test_a_wrong_request_gets_difys_error(
    http: httpx.Client, change: dict[str, Any], status: int, code: str
) -> None:
    body = {"query": "q", "user": USER, "inputs": {}, **change}
    answer = http.post("/v1/chat-messages", json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_wrong_key_is_unauthorized(http: httpx.Client) -> None:
    answer = http.get("/v1/parameters", headers={"Authorization": "Bearer x"})
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")


def test_another_persons_conversation_does_not_exist(http: httpx.Client) -> None:
    events = ask(http)
    query = {"conversation_id": events[0]["conversation_id"], "user": "somebody"}
    assert http.get("/v1/messages", params=query).status_code == 404
    feedback = {"rating": "like", "user": "somebody"}
    message_id = events[0]["message_id"]
    assert http.post(f"/v1/messages/{message_id}/feedbacks", json=feedback).status_code == 404
    feedback["user"] = USER
    assert http.post(f"/v1/messages/{message_id}/feedbacks", json=feedback).status_code == 200


def test_the_app_says_what_it_declares(http: httpx.Client) -> None:
    parameters = http.get("/v1/parameters").json()
    assert parameters["user_input_form"][0]["text-input"]["variable"] == "ticket"
    assert parameters["suggested_questions"]
    assert http.get("/v1/info").json()["mode"] == "advanced-chat"
    assert http.get("/v1/conversations", params={"user": USER}).json()["data"]


def test_the_public_endpoint_reaches_the_package(
    http: httpx.Client, server: ScriptedServer
) -> None:
    answer = http.post("/e/hookhookhookhook/callback?a=%2B", content=b"<xml/>")
    assert (answer.status_code, answer.text) == (200, "<xml>reply</xml>")
    assert server.callbacks[-1]["query"] == "a=%2B"
    assert http.post("/e/anotherhookaaaaa/callback").status_code == 404


def test_a_runs_overhead_is_told_apart(http: httpx.Client) -> None:
    ask(http)
    run = http.get("/playground/runs").json()["runs"][-1]
    assert run["overhead_s"] == pytest.approx(run["total_s"] - run["tool_s"] - run["model_s"])
    assert 0 < run["overhead_s"] < run["total_s"]
    assert run["model_requests"][0]["prompt_messages"][-1]["content"] == "年假有几天？"
