"""The stand-in's bodies, held against the Service API's shapes as seen on Dify 1.12: no key more, none less."""

import threading
from typing import Any

import httpx
import pytest
from pydantic import TypeAdapter

from tests.playground.dify.apps import USER, App, Apps, ScriptedServer
from tests.playground.dify.service_shapes import (
    DATA,
    BlockingChat,
    BlockingWorkflow,
    Conversation,
    Detail,
    Failure,
    Metadata,
    Page,
    Row,
    Upload,
)
from tests.waiting import wait_for

SORTED = '{"category": "it", "urgency": "low", "summary": "s"}'


OF_MESSAGE = {"event", "task_id", "message_id", "conversation_id", "created_at"}


@pytest.fixture
def chat(apps: Apps) -> App:
    return apps.open("knowledge_assistant")


@pytest.fixture
def work(apps: Apps, scripted: ScriptedServer) -> App:
    scripted.deltas = [{"content": SORTED}]
    return apps.open("ticket_triage")


def refused(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of an error, whose body has Dify's shape."""
    failure = Failure.model_validate(answer.json())
    assert failure.status == answer.status_code
    return failure.status, failure.code


def post(app: App, path: str, **body: Any) -> httpx.Response:
    return app.http.post(f"/v1/{path}", json={"user": USER, "inputs": {}, **body})


# -- runs -----------------------------------------------------------------------------------


def test_a_chatflows_blocking_body(chat: App) -> None:
    BlockingChat.model_validate(post(chat, "chat-messages", query="年假？").json())


def test_a_workflow_apps_blocking_body_and_its_detail(work: App) -> None:
    body = post(work, "workflows/run", inputs={"request": "VPN"}).json()
    done = BlockingWorkflow.model_validate(body)
    detail = work.http.get(f"/v1/workflows/run/{done.workflow_run_id}").json()
    assert Detail.model_validate(detail).outputs == done.data.outputs
    assert detail["inputs"] == {"request": "VPN"}
    assert refused(work.http.get("/v1/workflows/run/unknown")) == (404, "not_found")


def test_a_chatflows_run_can_be_looked_up_too(chat: App) -> None:
    events = chat.ask()
    run = events[0]["workflow_run_id"]
    detail = Detail.model_validate(chat.http.get(f"/v1/workflows/run/{run}").json())
    assert (detail.status, detail.outputs["answer"]) == ("succeeded", "12 天")


def test_a_chatflows_events(chat: App, scripted: ScriptedServer) -> None:
    scripted.failing_searches = 1
    events = chat.ask()
    kinds = [event["event"] for event in events]
    assert kinds[0] == "workflow_started"
    assert kinds[-2:] == ["workflow_finished", "message_end"]
    assert {"node_started", "node_retry", "node_finished", "message"} <= set(kinds)
    for event in events:
        more = set(event) - OF_MESSAGE
        match event["event"]:
            case "message":
                assert more == {"id", "answer", "from_variable_selector"}
            case "message_end":
                assert more == {"id", "metadata", "files"}
                Metadata.model_validate(event["metadata"])
            case kind:
                assert more == {"workflow_run_id", "data"}
                DATA[kind].model_validate(event["data"])


def test_a_workflow_apps_events(work: App) -> None:
    events = work.stream("workflows/run", inputs={"request": "VPN"})
    kinds = [event["event"] for event in events]
    assert (kinds[0], kinds[-1]) == ("workflow_started", "workflow_finished")
    assert "text_chunk" in kinds
    for event in events:
        assert set(event) == {"event", "task_id", "workflow_run_id", "data"}
        DATA[event["event"]].model_validate(event["data"])


def test_nodes_are_numbered_in_the_order_of_their_starts(chat: App) -> None:
    started = [event["data"] for event in chat.ask() if event["event"] == "node_started"]
    assert [node["index"] for node in started] == list(range(1, len(started) + 1))


def test_a_silent_stream_is_kept_alive(apps: Apps) -> None:
    app = apps.open("knowledge_assistant", ping_s=0.1)
    app.http.post("/playground/slow", json={"seconds": 0.5, "runs": 1})
    body = {"query": "q", "user": USER, "inputs": {}, "response_mode": "streaming"}
    assert "event: ping\n\n" in app.http.post("/v1/chat-messages", json=body).text


def test_a_failed_chat_is_an_error_and_a_failed_workflow_an_answer(
    apps: Apps, scripted: ScriptedServer
) -> None:
    scripted.break_stream = True
    failed = post(apps.open("streaming_assistant"), "chat-messages", query="q")
    assert refused(failed) == (400, "completion_request_error")
    no_branch: dict[str, Any] = {"nodes": {"sort": {"error_strategy": None, "retry_config": {}}}}
    body = post(apps.open("ticket_triage", no_branch), "workflows/run", inputs={"request": "r"})
    done = BlockingWorkflow.model_validate(body.json())
    assert (body.status_code, done.data.status) == (200, "failed")


def test_a_streamed_failure_ends_with_an_error_event(apps: Apps, scripted: ScriptedServer) -> None:
    scripted.break_stream = True
    app = apps.open("streaming_assistant")
    event = app.ask()[-1]
    assert set(event) == {*OF_MESSAGE, "status", "code", "message"}
    assert (event["event"], event["status"]) == ("error", 400)


# -- stopping -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "path", "asked", "tasks"),
    [
        ("knowledge_assistant", "chat-messages", {"query": "q"}, "chat-messages"),
        ("ticket_triage", "workflows/run", {"inputs": {"request": "r"}}, "workflows/tasks"),
    ],
)
def test_a_stopped_run_ends_at_once_and_says_so(
    apps: Apps, name: str, path: str, asked: dict[str, Any], tasks: str
) -> None:
    app = apps.open(name)
    app.http.post("/playground/slow", json={"seconds": 100, "runs": 1})
    events: list[dict[str, Any]] = []
    running = threading.Thread(target=lambda: events.extend(app.stream(path, **asked)))
    before = len(app.http.get("/playground/runs").json()["runs"])
    running.start()
    wait_for(lambda: len(app.http.get("/playground/runs").json()["runs"]) > before)
    wait_for(lambda: app.http.get("/playground/runs").json()["runs"][-1]["model_requests"])
    task = app.http.get("/playground/runs").json()["runs"][-1]["task_id"]
    # Somebody else's wish changes nothing, and is no error.
    assert post(app, f"{tasks}/{task}/stop", user="li").json() == {"result": "success"}
    assert running.is_alive()
    assert post(app, f"{tasks}/{task}/stop").json() == {"result": "success"}
    running.join(60)
    assert not running.is_alive()
    (finished,) = (event for event in events if event["event"] == "workflow_finished")
    assert (finished["data"]["status"], finished["data"]["error"]) == ("stopped", None)
    assert "error" not in [event["event"] for event in events]


def test_a_run_that_is_stopped_in_its_search_is_no_failure(
    chat: App, scripted: ScriptedServer
) -> None:
    """The search ends without a variable, and the next node misses one."""
    scripted.slow_s = 1.0
    with chat.watch() as events:
        task = next(e["task_id"] for e in events if e["event"] == "node_started")
        post(chat, f"chat-messages/{task}/stop")
        finished = next(e["data"] for e in events if e["event"] == "workflow_finished")
        assert (finished["status"], finished["error"]) == ("stopped", None)
        assert next(events)["event"] == "message_end"


# -- what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "path", "body", "code"),
    [
        ("ticket_triage", "chat-messages", {"query": "q"}, "not_chat_app"),
        ("ticket_triage", "chat-messages/t/stop", {}, "not_chat_app"),
        ("knowledge_assistant", "workflows/run", {}, "not_workflow_app"),
        ("knowledge_assistant", "workflows/tasks/t/stop", {}, "not_workflow_app"),
        ("ticket_triage", "workflows/run", {}, "invalid_param"),
        ("ticket_triage", "workflows/run", {"inputs": {"request": "x" * 4001}}, "invalid_param"),
        ("ticket_triage", "workflows/run", {"inputs": {"request": 7}}, "invalid_param"),
        ("knowledge_assistant", "chat-messages", {}, "invalid_param"),
        ("knowledge_assistant", "chat-messages", {"query": "q", "user": ""}, "invalid_param"),
        ("knowledge_assistant", "chat-messages", {"query": "q", "inputs": 1}, "invalid_param"),
    ],
)
def test_a_wrong_call_gets_difys_code(
    apps: Apps, name: str, path: str, body: dict[str, Any], code: str
) -> None:
    assert refused(post(apps.open(name), path, **body)) == (400, code)


def test_what_is_not_there_is_not_found(chat: App) -> None:
    unknown = "00000000-0000-0000-0000-000000000000"
    asked = post(chat, "chat-messages", query="q", conversation_id=unknown)
    assert refused(asked) == (404, "not_found")
    assert refused(post(chat, f"messages/{unknown}/feedbacks", rating="like")) == (404, "not_found")
    suggested = chat.http.get(f"/v1/messages/{unknown}/suggested", params={"user": USER})
    assert refused(suggested) == (404, "not_found")


def test_a_body_that_is_no_object_is_a_bad_request(chat: App) -> None:
    assert refused(chat.http.post("/v1/chat-messages", content=b"[")) == (400, "bad_request")


def test_a_wrong_key_is_unauthorized_everywhere(chat: App) -> None:
    for path in ("parameters", "info", "meta", "conversations?user=u"):
        answer = chat.http.get(f"/v1/{path}", headers={"Authorization": "Bearer x"})
        assert refused(answer) == (401, "unauthorized")


# -- the rest -------------------------------------------------------------------------------


def test_an_upload(chat: App) -> None:
    files = {"file": ("图.png", b"png", "image/png")}
    answer = chat.http.post("/v1/files/upload", files=files, data={"user": USER})
    assert answer.status_code == 201
    assert Upload.model_validate(answer.json()).extension == "png"


def test_conversations_and_messages_come_in_pages(chat: App) -> None:
    user = "pages"
    first = chat.ask("第一个", user=user)[0]["conversation_id"]
    chat.ask("第二个", user=user, conversation_id=first)
    second = chat.ask("第三个", user=user)[0]["conversation_id"]
    body = chat.http.get("/v1/conversations", params={"user": user, "limit": 1}).json()
    page = TypeAdapter(Page[Conversation]).validate_python(body)
    assert (page.has_more, [row.id for row in page.data]) == (True, [second])
    query = {"user": user, "conversation_id": first, "limit": "1"}
    body = chat.http.get("/v1/messages", params=query).json()
    newest = TypeAdapter(Page[Row]).validate_python(body)
    assert (newest.has_more, newest.data[0].query) == (True, "第二个")
    query["first_id"] = newest.data[0].id
    body = chat.http.get("/v1/messages", params=query).json()
    assert [row["query"] for row in body["data"]] == ["第一个"]


def test_a_conversation_can_be_deleted_by_its_person_alone(chat: App) -> None:
    conversation = chat.ask("q", user="owner")[0]["conversation_id"]
    path = f"/v1/conversations/{conversation}"
    assert refused(chat.http.request("DELETE", path, json={"user": "li"})) == (404, "not_found")
    assert chat.http.request("DELETE", path, json={"user": "owner"}).status_code == 204
    assert refused(chat.http.request("DELETE", path, json={"user": "owner"}))[0] == 404


def test_feedback_is_kept_and_taken_back(chat: App) -> None:
    events = chat.ask()
    message, conversation = events[0]["message_id"], events[0]["conversation_id"]

    def kept(rating: str | None) -> object:
        answer = post(chat, f"messages/{message}/feedbacks", rating=rating, content="c")
        assert answer.json() == {"result": "success"}
        query = {"user": USER, "conversation_id": conversation}
        return chat.http.get("/v1/messages", params=query).json()["data"][-1]["feedback"]

    assert kept("dislike") == {"rating": "dislike", "content": "c"}
    assert kept(None) is None
    wrong = post(chat, f"messages/{message}/feedbacks", rating="good")
    assert refused(wrong) == (400, "invalid_param")


@pytest.mark.parametrize("name", ["knowledge_assistant", "ticket_triage", "picture_and_voice"])
def test_what_an_app_declares(apps: Apps, name: str) -> None:
    app = apps.open(name)
    assert set(app.http.get("/v1/parameters").json()) == {
        *("opening_statement", "suggested_questions", "suggested_questions_after_answer"),
        *("speech_to_text", "text_to_speech", "retriever_resource", "annotation_reply"),
        *("more_like_this", "sensitive_word_avoidance", "file_upload"),
        *("user_input_form", "system_parameters"),
    }
    info = app.http.get("/v1/info").json()
    assert set(info) == {"name", "description", "mode", "tags", "author_name"}
    assert app.http.get("/v1/meta").json() == {"tool_icons": {}}
