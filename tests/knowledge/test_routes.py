"""The search over HTTP: keys, bodies, tickets, and what a caller is told."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from tool_server.app import create_app
from tool_server.auth import Keys
from tool_server.knowledge.search import Knowledge


@pytest.fixture
def client(handbook: Knowledge) -> Iterator[FlaskClient]:
    app = create_app(handbook.settings)
    client = app.test_client()
    key = Keys.load(handbook.settings).secret("knowledge")
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {key}"
    yield client
    app.extensions["channel"].close()


def test_a_search_answers_found_and_passages(client: FlaskClient) -> None:
    answer = client.post("/knowledge/search", json={"query": "年假有几天", "top_k": 2})
    body = answer.get_json()
    assert answer.status_code == 200
    assert body["found"] is True
    assert set(body["passages"][0]) == {
        *("content", "title", "score", "document_id", "source_id", "segment_id", "url", "base"),
        *("document_title", "heading", "page", "ordinal", "language", "metadata", "highlight"),
        *("copies", "pinned"),
    }
    (fragment,) = body["passages"][0]["highlight"]
    assert body["mode"] == "lexical"
    assert [fragment["text"][slice(*mark)] for mark in fragment["marks"]] == ["年假"]


def test_a_ticket_that_nobody_knows_is_no_error_and_opens_nothing_more(client: FlaskClient) -> None:
    body = {"query": "年假", "ticket": "unknown", "app": "a", "conversation": "c"}
    assert client.post("/knowledge/search", json=body).status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, 400, "query"),
        ({"query": ""}, 400, "query"),
        ({"query": 7}, 400, "query"),
        ({"query": "x", "bases": ["nowhere"]}, 404, "base"),
        ({"query": "x", "top_k": 0}, 400, "top_k"),
        ({"query": "x", "colour": 1}, 400, "colour"),
        ({"query": "x", "score_threshold": 1.1}, 400, "score_threshold"),
        ({"query": "x", "language": "fr"}, 400, "language"),
        ({"query": "x", "mode": "magic"}, 400, "mode"),
        ({"query": "x", "base": "handbook", "bases": ["handbook"]}, 400, "base"),
        ({"query": "x", "filters": {"conditions": [7]}}, 400, "filters.conditions.0"),
        ([], 400, "body"),
    ],
)
def test_a_wrong_body_names_its_field(
    client: FlaskClient, body: Any, status: int, field: str
) -> None:
    answer = client.post("/knowledge/search", json=body)
    assert (answer.status_code, answer.get_json()["error"]["field"]) == (status, field)


@pytest.mark.embedded
def test_a_lost_index_is_a_503_until_it_is_built_anew(
    client: FlaskClient, handbook: Knowledge
) -> None:
    with handbook.index.writing(handbook.catalogue):  # nobody else can repair
        (handbook.settings.data_dir / "index" / "current.json").unlink()
        answer = client.post("/knowledge/search", json={"query": "年假"})
        assert (answer.status_code, answer.get_json()["error"]["code"]) == (503, "unavailable")
        assert int(answer.headers["Retry-After"]) > 0


def test_a_base_that_is_no_text_is_unknown_too(client: FlaskClient) -> None:
    body = rb'{"query": "x", "bases": ["\ud800"]}'
    answer = client.post("/knowledge/search", data=body, content_type="application/json")
    assert (answer.status_code, answer.get_json()["error"]["field"]) == (404, "base")


def test_broken_json_is_a_400_without_a_stack(client: FlaskClient) -> None:
    answer = client.post("/knowledge/search", data=b"{", content_type="application/json")
    assert answer.status_code == 400
    assert "Traceback" not in answer.text


def test_a_key_of_another_scope_is_refused(client: FlaskClient, handbook: Knowledge) -> None:
    key = Keys.load(handbook.settings).secret("model")
    headers = {"Authorization": f"Bearer {key}"}
    assert client.get("/knowledge/bases", headers=headers).status_code == 403
    assert client.get("/knowledge/bases", headers={"Authorization": "Bearer x"}).status_code == 401


def test_an_editor_sets_who_sees_a_base_and_the_list_shows_it_to_no_other(
    client: FlaskClient, handbook: Knowledge
) -> None:
    editor = {"Authorization": f"Bearer {Keys.load(handbook.settings).secret('editor')}"}
    profile = {"access": ["user:wecom/li"], "title_weight": 0.5}
    path = "/knowledge/bases/handbook"
    assert client.put(path, json=profile).status_code == 403
    assert client.put(path, json=profile, headers=editor).status_code == 200
    assert client.get(path, headers=editor).get_json() == {
        "name": "handbook",
        "access": ["user:wecom/li"],
        "title_weight": 0.5,
        "content_weight": 1.0,
        "foreign": None,
    }
    assert client.get("/knowledge/bases").get_json()["bases"] == []
    assert client.post("/knowledge/search", json={"query": "年假"}).get_json()["passages"] == []


@pytest.mark.parametrize(
    ("name", "profile", "status"),
    [
        ("handbook", {"access": ["everybody"]}, 400),
        ("handbook", {"access": []}, 400),
        ("handbook", {"access": ["*"]}, 400),
        ("handbook", {"title_weight": -1}, 400),
        ("Hand", {}, 400),
    ],
)
def test_a_wrong_profile_is_refused(
    client: FlaskClient, handbook: Knowledge, name: str, profile: Any, status: int
) -> None:
    editor = {"Authorization": f"Bearer {Keys.load(handbook.settings).secret('editor')}"}
    answer = client.put(f"/knowledge/bases/{name}", json=profile, headers=editor)
    assert answer.status_code == status
    assert client.get("/knowledge/bases/nowhere", headers=editor).status_code == 404


def test_the_bases_are_listed_with_their_size(client: FlaskClient) -> None:
    (base,) = client.get("/knowledge/bases").get_json()["bases"]
    assert base == {"name": "handbook", "documents": 2, "passages": 62}
