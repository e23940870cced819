"""Dify's External Knowledge API: its bodies, its errors, its check of a new address, what a key without a user sees."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.knowledge.library import close_base, id_of, key_with, note, put
from tool_server.app import create_app
from tool_server.auth import Keys
from tool_server.knowledge.search import Knowledge

PLACES = ("/retrieval", "/knowledge/retrieval")


@pytest.fixture
def client(knowledge: Knowledge) -> Iterator[FlaskClient]:
    app = create_app(knowledge.settings)
    client = app.test_client()
    key = Keys.load(knowledge.settings).secret("knowledge")
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {key}"
    yield client
    app.extensions["channel"].close()


@pytest.fixture
def pumps(knowledge: Knowledge) -> Knowledge:
    """Four manuals about one thing, told apart by their metadata only."""
    rows: dict[str, dict[str, str | float]] = {
        "alpha": {"author": "Chen Li", "year": 2019, "approved": "2019-05-01", "note": ""},
        "beta": {"author": "chen wei", "year": 2021, "approved": "2021-11-30"},
        "gamma": {"author": "Müller", "year": 2021.5, "approved": "2022-01-15", "note": "draft"},
        "delta": {"note": "final"},
    }
    documents = (
        note(name, f"The pump of type {name} is oiled once a month.", metadata=row)
        for name, row in rows.items()
    )
    put(knowledge, "pumps", *documents)
    return knowledge


def ask(client: FlaskClient, query: str = "pump oiled", **more: Any) -> Any:
    body = {
        "knowledge_id": "pumps",
        "query": query,
        "retrieval_setting": {"top_k": 10, "score_threshold": 0.0},
        "metadata_condition": None,
        **more,
    }
    return client.post("/retrieval", json=body)


def found(client: FlaskClient, *conditions: tuple[Any, str, Any], logical: str = "and") -> set[str]:
    """The documents that a condition leaves."""
    listed = [
        {"name": name, "comparison_operator": operator, "value": value}
        for name, operator, value in conditions
    ]
    answer = ask(client, metadata_condition={"logical_operator": logical, "conditions": listed})
    assert answer.status_code == 200, answer.text
    return {record["metadata"]["source_id"] for record in answer.get_json()["records"]}


def test_a_record_has_what_dify_shows_and_the_document_s_own_metadata(
    client: FlaskClient, knowledge: Knowledge
) -> None:
    own = {"author": "Chen", "document_id": "fake"}
    put(knowledge, "pumps", note("a", "The pump is oiled.", url="https://x.example", metadata=own))
    (record,) = ask(client).get_json()["records"]
    assert 0 < record.pop("score") <= 1
    segment = record["metadata"].pop("segment_id")
    assert len(segment) == 36
    assert record == {
        "content": "The pump is oiled.",
        "title": "a",
        "metadata": {
            "author": "Chen",
            "document_id": id_of("pumps", "a"),
            "source_id": "a",
            "url": "https://x.example",
            "base": "pumps",
            "heading": "",
            "page": None,
        },
    }


@pytest.mark.parametrize("place", PLACES)
def test_dify_s_check_of_an_address_passes_with_a_good_key_only(
    client: FlaskClient, place: str
) -> None:
    """It sends no body, and takes everything but 403, 404 and 502 for success."""
    assert client.post(place).status_code == 400
    refused = client.post(place, headers={"Authorization": "Bearer sq-wrong"})
    assert refused.status_code == 403


@pytest.mark.parametrize(
    ("header", "code"),
    [("", 1001), ("Bearer ", 1001), ("Basic YTpi", 1001), ("sq-bare", 1001), ("Bearer x", 1002)],
)
def test_a_key_that_is_refused_has_dify_s_code(client: FlaskClient, header: str, code: int) -> None:
    answer = client.post("/retrieval", headers={"Authorization": header})
    assert (answer.status_code, answer.get_json()["error_code"]) == (403, code)


def test_a_key_of_another_scope_is_not_authorised(
    client: FlaskClient, knowledge: Knowledge
) -> None:
    key = Keys.load(knowledge.settings).secret("model")
    answer = client.post("/retrieval", headers={"Authorization": f"Bearer {key}"})
    assert (answer.status_code, answer.get_json()["error_code"]) == (403, 1002)


@pytest.mark.parametrize(
    ("change", "status", "code", "named"),
    [
        ({"knowledge_id": "nowhere"}, 404, 2001, "nowhere"),
        ({"knowledge_id": ""}, 400, 400, "knowledge_id"),
        ({"knowledge_id": 7}, 400, 400, "knowledge_id"),
        ({"query": " "}, 400, 400, "query"),
        ({"query": None}, 400, 400, "query"),
        ({"retrieval_setting": {"top_k": 0}}, 400, 400, "top_k"),
        ({"retrieval_setting": {"top_k": "many"}}, 400, 400, "retrieval_setting.top_k"),
        (
            {"retrieval_setting": {"score_threshold": 2}},
            400,
            400,
            "retrieval_setting.score_threshold",
        ),
        ({"metadata_condition": []}, 400, 400, "metadata_condition"),
    ],
)
def test_a_wrong_body_is_told_in_dify_s_shape_and_names_its_field(
    client: FlaskClient, pumps: Knowledge, change: Any, status: int, code: int, named: str
) -> None:
    answer = ask(client, **change)
    body = answer.get_json()
    assert set(body) == {"error_code", "error_msg"}
    assert (answer.status_code, body["error_code"]) == (status, code)
    assert named in body["error_msg"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"[" * 100000])
def test_what_is_no_object_is_a_400_about_the_body(client: FlaskClient, body: bytes) -> None:
    answer = client.post("/retrieval", data=body, content_type="application/json")
    assert (answer.status_code, answer.get_json()["error_code"]) == (400, 400)
    assert answer.get_json()["error_msg"].startswith("body: ")


def test_a_body_that_is_too_large_is_told_in_dify_s_shape(client: FlaskClient) -> None:
    answer = client.post("/retrieval", data=b" " * (9 * 1024 * 1024))
    assert (answer.status_code, answer.get_json()["error_code"]) == (413, 413)


def test_a_setting_that_is_null_or_missing_and_fields_of_a_later_dify_are_no_error(
    client: FlaskClient, pumps: Knowledge
) -> None:
    setting = {"top_k": 2, "score_threshold": None, "reranking": {"model": "x"}}
    answer = ask(client, retrieval_setting=setting, app={"id": "x"})
    assert len(answer.get_json()["records"]) == 2
    body = {"knowledge_id": "pumps", "query": "pump oiled"}
    assert client.post("/retrieval", json=body).get_json()["records"]


def test_a_question_that_nothing_covers_has_no_records(
    client: FlaskClient, pumps: Knowledge
) -> None:
    answer = ask(client, query="Who won the football championship with a pump?")
    assert (answer.status_code, answer.get_json()) == (200, {"records": []})


@pytest.mark.embedded
def test_a_lost_index_is_a_503_that_says_when_to_come_back(
    client: FlaskClient, pumps: Knowledge
) -> None:
    with pumps.index.writing(pumps.catalogue):  # nobody else can repair
        (pumps.settings.data_dir / "index" / "current.json").unlink()
        answer = ask(client)
        assert (answer.status_code, answer.get_json()["error_code"]) == (503, 503)
        assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.parametrize(
    ("name", "operator", "value", "left"),
    [
        ("author", "contains", "chen", "alpha beta"),
        ("author", "not contains", "chen", "gamma delta"),
        ("author", "start with", "Chen", "alpha beta"),
        ("author", "end with", "WEI", "beta"),
        ("author", "is", "Chen Li", "alpha"),
        ("author", "is not", "Chen Li", "beta gamma delta"),
        ("note", "empty", None, "alpha beta"),
        ("note", "not empty", None, "gamma delta"),
        ("author", "in", ["Chen Li", "Müller"], "alpha gamma"),
        ("author", "not in", ["Chen Li", "Müller"], "beta delta"),
        ("year", "=", 2021, "beta"),
        ("year", "=", "2021", "beta"),
        ("year", "≠", 2021, "alpha gamma delta"),
        ("year", ">", 2021, "gamma"),
        ("year", "<", "2021", "alpha"),
        ("year", "≥", 2021, "beta gamma"),
        ("year", "≤", 2021, "alpha beta"),
        ("approved", "before", "2021-11-30", "alpha"),
        ("approved", "after", "2021-11-30", "gamma"),
        (["author"], "is", "Chen Li", "alpha"),
    ],
)
def test_every_operator_leaves_the_documents_that_it_should(
    client: FlaskClient, pumps: Knowledge, name: Any, operator: str, value: Any, left: str
) -> None:
    assert found(client, (name, operator, value)) == set(left.split())


def test_conditions_are_joined_by_and_or_by_or(client: FlaskClient, pumps: Knowledge) -> None:
    both = (("year", "=", 2021), ("note", "is", "draft"))
    assert found(client, *both, logical="or") == {"beta", "gamma"}
    assert found(client, *both) == set()


@pytest.mark.parametrize(
    ("condition", "named"),
    [
        ({"name": "year", "comparison_operator": "near", "value": 1}, "comparison_operator"),
        ({"comparison_operator": "is", "value": 1}, "name"),
        ({"name": "year", "comparison_operator": "after", "value": "soon"}, "value"),
    ],
)
def test_a_condition_that_is_wrong_is_a_400_that_names_its_place(
    client: FlaskClient, pumps: Knowledge, condition: Any, named: str
) -> None:
    answer = ask(client, metadata_condition={"conditions": [condition]})
    assert (answer.status_code, answer.get_json()["error_code"]) == (400, 400)
    assert named in answer.get_json()["error_msg"]


def test_a_closed_base_is_one_that_is_not_there(client: FlaskClient, pumps: Knowledge) -> None:
    close_base(pumps, "pumps", "department:acc/7")
    answer = ask(client)
    assert (answer.status_code, answer.get_json()["error_code"]) == (404, 2001)
    nowhere = ask(client, knowledge_id="nowhere").get_json()["error_msg"]
    assert answer.get_json()["error_msg"] == nowhere.replace("nowhere", "pumps")


def test_a_key_sees_what_is_public_and_what_it_was_given(knowledge: Knowledge) -> None:
    right = "department:acc/7"
    put(
        knowledge,
        "pumps",
        note("open", "The pump is oiled."),
        note("closed", "The pump is oiled.", access=(right,)),
    )

    def sources(secret: str) -> set[str]:
        headers = {"Authorization": f"Bearer {secret}"}
        body = {"knowledge_id": "pumps", "query": "pump oiled"}
        records = own.post("/retrieval", json=body, headers=headers).get_json()["records"]
        return {record["metadata"]["source_id"] for record in records}

    secret = key_with(knowledge, right)
    app = create_app(knowledge.settings)
    own = app.test_client()
    assert sources(Keys.load(knowledge.settings).secret("knowledge")) == {"open"}
    assert sources(secret) == {"open", "closed"}
    app.extensions["channel"].close()


def test_a_body_cannot_name_a_user_or_rights(client: FlaskClient, knowledge: Knowledge) -> None:
    put(knowledge, "pumps", note("closed", "The pump is oiled.", access=("user:acc/zhang",)))
    answer = ask(client, user="zhang", rights=["*"], ticket="t")
    assert answer.get_json() == {"records": []}
