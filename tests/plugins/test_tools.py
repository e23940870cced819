"""Package A's tools under the SDK, over stdio as the daemon talks to them: what they send, and what comes out."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from playground.dify.plugin import Plugin, PluginError
from tests.plugins.conftest import ROOT
from tests.plugins.raw_server import RawServer

PNG = b"\x89PNG\r\n\x1a\n picture"
SCHEMA = {
    "type": "object",
    "properties": {"urgent": {"type": "boolean"}, "days": {"type": "integer"}},
    "required": ["urgent"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plugin]:
    package = Plugin(ROOT, tmp_path_factory.mktemp("log") / "package-a.log")
    package.wait_ready()
    yield package
    package.stop()


def call(package: Plugin, server: RawServer, tool: str, **parameters: Any) -> list[dict[str, Any]]:
    asked = {
        "type": "tool",
        "action": "invoke_tool",
        "user_id": "u",
        "provider": "knowledge",
        "tool": tool,
        "credentials": {"server_url": server.url, "api_key": "sq-key"},
        "credential_type": "api-key",
        "tool_parameters": parameters,
    }
    session = {"app_id": "app-1", "conversation_id": "conv-1"}
    return list(package.call(asked, timeout_s=30, session=session))


def variables(messages: list[dict[str, Any]]) -> dict[str, Any]:
    found = [m["message"] for m in messages if m["type"] == "variable"]
    return {variable["variable_name"]: variable["variable_value"] for variable in found}


def blobs(messages: list[dict[str, Any]]) -> list[tuple[dict[str, Any], bytes]]:
    """Files as the daemon puts them together: chunks of one id, their meta with the last."""
    files: dict[str, bytes] = {}
    metas: dict[str, dict[str, Any]] = {}
    for message in messages:
        if message["type"] != "blob_chunk":
            continue
        chunk = message["message"]
        files[chunk["id"]] = files.get(chunk["id"], b"") + base64.b64decode(chunk["blob"])
        metas.setdefault(chunk["id"], message.get("meta") or {})
    return [(metas[name], data) for name, data in files.items()]


def file(server: RawServer, name: str = "配电柜.png", path: str = "/files/a") -> dict[str, Any]:
    """A file as Dify gives it to a tool."""
    server.answers(PNG, headers="Content-Type: image/png", path=path)
    return {
        "dify_model_identity": "__dify__file__",
        "url": server.url + path,
        "filename": name,
        "extension": ".png",
        "mime_type": "image/png",
        "type": "image",
        "size": len(PNG),
    }


def completion(content: str | None, finish: str = "stop") -> dict[str, Any]:
    return {"choices": [{"message": {"content": content}, "finish_reason": finish}]}


def serve_model(server: RawServer, content: str | None, finish: str = "stop") -> None:
    listed = [{"id": "private-embedding", "type": "text-embedding"}, {"id": "chat", "type": "llm"}]
    server.answers_json("/v1/models", {"data": listed})
    server.answers_json("/v1/chat/completions", completion(content, finish))


def test_a_card_goes_to_the_ticket_and_to_nobody_that_a_model_names(
    package: Plugin, server: RawServer
) -> None:
    server.answers_json("/channel/reply", {"kind": "card", "again": False})
    messages = call(
        package,
        server,
        "reply_card",
        ticket=" t ",
        title="请假",
        buttons="还剩几天？\n找谁批？| ",
        touser="someone",
    )
    assert variables(messages) == {"sent": "yes", "again": "no"}
    (body,) = server.asked("/channel/reply")
    assert json.loads(body) == {
        "ticket": "t",
        "app": "app-1",
        "conversation": "conv-1",
        "card": {"title": "请假", "text": "", "link": "", "buttons": ["还剩几天？", "找谁批？"]},
    }


def test_files_are_fetched_from_dify_and_sent_one_by_one(
    package: Plugin, server: RawServer
) -> None:
    server.answers_json("/channel/reply", {"kind": "file", "again": True})
    files = [file(server), file(server, "b.png", "/files/b")]
    assert variables(call(package, server, "reply_file", ticket="t", files=files)) == {
        "sent": 2,
        "again": "yes",
    }
    first, second = server.asked("/channel/reply")
    assert PNG in first
    assert "配电柜.png".encode() in first
    assert b'name="ticket"' in second


def test_a_marked_picture_is_a_file_with_its_type_and_name(
    package: Plugin, server: RawServer
) -> None:
    server.answers(PNG * 3000, headers="Content-Type: image/png", path="/pictures/annotate")
    messages = call(
        package,
        server,
        "annotate_picture",
        picture=file(server),
        marks='[{"kind": "caption", "text": "x"}]',
        units="percent",
    )
    ((meta, data),) = blobs(messages)
    assert data == PNG * 3000
    assert meta == {"mime_type": "image/png", "filename": "配电柜-marked.png"}
    assert variables(messages)["mime_type"] == "image/png"
    (body,) = server.asked("/pictures/annotate")
    assert b'name="units"\r\n\r\npercent' in body


def test_a_long_answer_is_several_numbered_pictures(package: Plugin, server: RawServer) -> None:
    pages = [base64.b64encode(PNG + bytes([n])).decode() for n in range(2)]
    rendered = {"pages": pages, "type": "image/png", "truncated": True}
    server.answers_json("/pictures/render", rendered)
    messages = call(package, server, "render_picture", text="| a |", title="差旅 / 2026")
    assert variables(messages) == {"pages": 2, "truncated": "yes"}
    names = [meta["filename"] for meta, _ in blobs(messages)]
    assert names == ["差旅-2026-1.png", "差旅-2026-2.png"]


def test_an_object_follows_its_schema_which_the_server_is_told(
    package: Plugin, server: RawServer
) -> None:
    serve_model(server, '{"urgent": true, "days": 3}')
    messages = call(
        package, server, "structured_answer", text="快！三天", schema=json.dumps(SCHEMA)
    )
    assert variables(messages) == {"result": {"urgent": True, "days": 3}, "ok": "yes", "error": ""}
    asked = json.loads(server.asked("/v1/chat/completions")[0])
    assert asked["model"] == "chat"
    assert asked["response_format"]["json_schema"]["schema"] == SCHEMA
    assert asked["messages"][-1] == {"role": "user", "content": "快！三天"}


@pytest.mark.parametrize(
    ("content", "finish", "error"),
    [
        ('{"urgent": true', "length", "did not end within max_tokens"),
        ("I cannot", "stop", "The model wrote no JSON object"),
        (None, "content_filter", "withheld by moderation"),
        ("[1]", "stop", "The model wrote no JSON object"),
        ('{"days": 1}', "stop", "result.urgent: it is missing."),
        ('{"urgent": 1}', "stop", "result.urgent: it is no boolean."),
        ('{"urgent": true, "days": 1.5}', "stop", "result.days: it is no integer."),
        ('{"urgent": true, "x": 1}', "stop", "result.x: the schema does not know it."),
    ],
)
def test_an_answer_that_is_no_such_object_is_not_taken_for_one(
    package: Plugin, server: RawServer, content: str | None, finish: str, error: str
) -> None:
    serve_model(server, content, finish)
    messages = call(package, server, "structured_answer", text="x", schema=json.dumps(SCHEMA))
    found = variables(messages)
    assert (found["ok"], found["result"]) == ("no", {})
    assert error in found["error"]


def test_a_form_is_offered_the_bases_and_all_of_them(package: Plugin, server: RawServer) -> None:
    base = {"name": "hr", "documents": 3, "passages": 9}
    server.answers_json("/knowledge/bases", {"bases": [base]})
    asked = {
        "type": "dynamic_parameter",
        "action": "fetch_parameter_options",
        "user_id": "u",
        "provider": "knowledge",
        "provider_action": "search",
        "credentials": {"server_url": server.url, "api_key": "sq-key"},
        "credential_type": "api-key",
        "parameter": "base",
    }
    (answer,) = package.call(asked, timeout_s=20)
    assert [option["value"] for option in answer["options"]] == ["*", "hr"]
    assert answer["options"][1]["label"]["zh_Hans"] == "hr（3 篇文档）"


FILE = {"dify_model_identity": "__dify__file__", "type": "image", "filename": "a.png"}


@pytest.mark.parametrize(
    ("tool", "parameters", "sentence"),
    [
        ("reply_card", {"title": "x"}, "ticket: choose the start variable"),
        ("reply_card", {"title": "x", "ticket": "t"}, "has no WeChat channel, or is older"),
        ("reply_file", {"ticket": "t", "files": []}, "files: choose a file of the workflow."),
        ("reply_file", {"ticket": "t", "files": "x"}, "files: choose a file of the workflow."),
        (
            "reply_file",
            {"ticket": "t", "files": [{**FILE, "url": "/files/relative"}]},
            "files: Dify's file cannot be fetched; check FILES_URL",
        ),
        (
            "annotate_picture",
            {"marks": "[]", "picture": {**FILE, "url": "http://127.0.0.1:9/secret?sign=x"}},
            "picture: Dify's file cannot be fetched",
        ),
        ("annotate_picture", {"picture": None, "marks": ""}, "marks: enter a JSON list"),
        ("render_picture", {"text": " "}, "text: it is empty."),
        ("render_picture", {"text": "x"}, "cannot draw pictures: it is older"),
        ("structured_answer", {"text": "x", "schema": "{"}, "schema: this is not JSON"),
        ("structured_answer", {"text": "x", "schema": "[]"}, "schema: enter one JSON object."),
        ("structured_answer", {"text": "", "schema": "{}"}, "text: it is empty."),
        (
            "structured_answer",
            {"text": "x", "schema": json.dumps(SCHEMA), "max_tokens": 0},
            "max_tokens: from 1 to 16384.",
        ),
        ("structured_answer", {"text": "x", "schema": json.dumps(SCHEMA)}, "has no model"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence_without_an_address(
    package: Plugin, server: RawServer, tool: str, parameters: dict[str, Any], sentence: str
) -> None:
    server.answers(json.dumps({"error": {"code": "not_found", "message": "m"}}), status=404)
    with pytest.raises(PluginError, match=sentence) as caught:
        call(package, server, tool, **parameters)
    assert caught.value.kind == "ServerError"
    assert "127.0.0.1" not in str(caught.value)
    assert "sign=" not in str(caught.value)


def test_the_server_s_own_sentence_names_the_mark(package: Plugin, server: RawServer) -> None:
    fault = {"code": "bad_request", "message": "marks, number 2, box.3: x.", "field": "marks"}
    body = json.dumps({"error": fault})
    server.answers(body, status=400, path="/pictures/annotate")
    with pytest.raises(PluginError, match=r"refused: marks, number 2, box\.3: x\."):
        call(package, server, "annotate_picture", picture=file(server), marks="[1, 2]")
