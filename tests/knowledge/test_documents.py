"""A whole document: its text in parts, a page for a phone, and the same rights as in the search."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.knowledge.library import close_base, id_of, key_with, note, put
from tool_server.access import Asker
from tool_server.app import create_app
from tool_server.auth import Keys
from tool_server.knowledge.document import Document, Section
from tool_server.knowledge.documents import blueprint
from tool_server.knowledge.search import Knowledge, Question, search
from tool_server.rim import register_errors
from tool_server.settings import Settings

PUBLIC_URL = "https://assistant.example"
MANUAL = Document(
    "manual.pdf",
    "压缩机手册",
    (
        Section("安装", "先检查地脚螺栓。", 1),
        Section("安装", "再接电源。", 2),
        Section("保养 › 每月", "更换<b>滤芯</b>。\n清洁散热片。", 2),
    ),
    metadata={"author": "设备部", "year": 2024},
)


def client_of(settings: Settings) -> Iterator[FlaskClient]:
    app = create_app(settings)
    client = app.test_client()
    key = Keys.load(settings).secret("knowledge")
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {key}"
    yield client
    app.extensions["channel"].close()


@pytest.fixture
def client(knowledge: Knowledge) -> Iterator[FlaskClient]:
    put(knowledge, "plant", MANUAL)
    yield from client_of(knowledge.settings)


@pytest.fixture
def public(knowledge: Knowledge) -> Iterator[FlaskClient]:
    """With pages switched on, and asked without a key."""
    put(knowledge, "plant", MANUAL)
    more = {"knowledge_public_url": PUBLIC_URL, "knowledge_text_characters": 1000}
    for client in client_of(knowledge.settings.model_copy(update=more)):
        del client.environ_base["HTTP_AUTHORIZATION"]
        yield client


def text_of(client: FlaskClient, source_id: str = "manual.pdf", **more: Any) -> Any:
    body = {"document_id": id_of("plant", source_id), **more}
    return client.post("/knowledge/document", json=body)


def page_of(client: FlaskClient, source_id: str = "manual.pdf", query: str = "") -> Any:
    return client.get(f"/knowledge/documents/{id_of('plant', source_id)}{query}")


def test_a_document_s_text_is_its_passages_in_order_under_their_headings(
    client: FlaskClient,
) -> None:
    assert text_of(client).get_json() == {
        "document_id": id_of("plant", "manual.pdf"),
        "source_id": "manual.pdf",
        "base": "plant",
        "title": "压缩机手册",
        "url": "",
        "metadata": {"author": "设备部", "year": 2024},
        "text": (
            "安装\n先检查地脚螺栓。\n\n再接电源。\n\n保养 › 每月\n更换<b>滤芯</b>。\n清洁散热片。"
        ),
        "truncated": False,
        "next_offset": None,
    }


def test_the_parts_of_a_long_document_make_the_whole(
    client: FlaskClient, knowledge: Knowledge
) -> None:
    lines = [f"第 {number} 条规定说明了一件事情。" for number in range(400)]
    put(knowledge, "plant", note("long", "\n\n".join(lines)))
    texts, offset = [], 0
    while offset is not None:
        part = text_of(client, "long", offset=offset, limit=2000).get_json()
        assert part["truncated"] == (part["next_offset"] is not None)
        assert len(part["text"]) < 2100
        texts.append(part["text"])
        offset = part["next_offset"]
    assert len(texts) > 2
    assert "\n".join(texts).split("\n") == lines


def test_one_request_gets_no_more_than_the_setting_allows(
    client: FlaskClient, knowledge: Knowledge
) -> None:
    put(knowledge, "plant", note("long", "\n\n".join("一句话。" for _ in range(10000))))
    part = text_of(client, "long", limit=10**9).get_json()
    assert part["truncated"]
    assert len(part["text"]) <= knowledge.settings.knowledge_text_characters


def test_beyond_the_end_there_is_nothing(client: FlaskClient) -> None:
    part = text_of(client, offset=10**9).get_json()
    assert (part["text"], part["truncated"]) == ("", False)


@pytest.mark.parametrize("closed", ["base", "document", "gone", "no id"])
def test_a_document_that_may_not_be_seen_is_one_that_is_not_there(
    client: FlaskClient, knowledge: Knowledge, closed: str
) -> None:
    put(knowledge, "plant", note("mine", "Secret.", access=("user:acc/zhang",)))
    if closed == "base":
        close_base(knowledge, "plant", "user:acc/zhang")
    body = {
        "base": {"document_id": id_of("plant", "manual.pdf")},
        "document": {"document_id": id_of("plant", "mine")},
        "gone": {"document_id": id_of("plant", "never")},
        "no id": {"document_id": "../x"},
    }[closed]
    answer = client.post("/knowledge/document", json=body)
    assert (answer.status_code, answer.get_json()["error"]) == (
        404,
        {
            "code": "not_found",
            "message": "There is no document with this id.",
            "field": "document_id",
        },
    )


def test_a_document_that_was_taken_back_is_gone(client: FlaskClient, knowledge: Knowledge) -> None:
    knowledge.catalogue.withdraw("plant", "manual", ())
    assert text_of(client).status_code == 404


def test_a_ticket_opens_what_its_asker_may_see_and_an_unknown_one_closes_what_the_key_may(
    knowledge: Knowledge,
) -> None:
    put(
        knowledge,
        "plant",
        note("hers", "For Li Na.", access=("user:acc/lina",)),
        note("the key's", "For the key.", access=("department:acc/7",)),
    )
    headers = {"Authorization": f"Bearer {key_with(knowledge, 'department:acc/7')}"}
    tickets = {"good": Asker("acc", "lina")}
    app = Flask("documents")
    register_errors(app, lambda error: (error.plain(), error.status))
    keys = Keys.load(knowledge.settings)
    app.register_blueprint(blueprint(knowledge, keys, lambda ticket, *_: tickets.get(ticket)))

    def opened(ticket: str | None) -> list[str]:
        client, asked = app.test_client(), {"ticket": ticket, "app": "a", "conversation": "c"}
        return [
            source
            for source in ("hers", "the key's")
            if client.post(
                "/knowledge/document",
                json={"document_id": id_of("plant", source), **asked},
                headers=headers,
            ).status_code
            == 200
        ]

    assert opened("good") == ["hers"]
    assert opened(None) == ["the key's"]
    assert opened("forged") == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "document_id"),
        ({"document_id": "x", "offset": -1}, "offset"),
        ({"document_id": "x", "limit": 0}, "limit"),
        ({"document_id": "x", "user": "zhang"}, "user"),
        (None, "body"),
    ],
)
def test_a_wrong_body_names_its_field(client: FlaskClient, body: Any, field: str) -> None:
    answer = client.post("/knowledge/document", json=body)
    assert (answer.status_code, answer.get_json()["error"]["field"]) == (400, field)


def test_a_document_needs_a_key(client: FlaskClient) -> None:
    answer = client.post("/knowledge/document", headers={"Authorization": "Bearer x"})
    assert answer.status_code == 401


def test_a_page_shows_title_headings_and_escaped_text_and_loads_nothing(
    public: FlaskClient,
) -> None:
    answer = page_of(public)
    assert answer.status_code == 200
    assert "<h1>压缩机手册</h1>" in answer.text
    assert "<h2>保养 › 每月</h2>" in answer.text
    assert answer.text.count("<h2>安装</h2>") == 1
    assert "<small>第 2 页</small>" in answer.text
    assert "更换&lt;b&gt;滤芯&lt;/b&gt;。" in answer.text
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "src=" not in answer.text
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_long_document_is_read_on_from_page_to_page(
    public: FlaskClient, knowledge: Knowledge
) -> None:
    put(knowledge, "plant", note("long", "\n\n".join(f"第 {n} 条规定。" for n in range(400))))
    first = page_of(public, "long").text
    assert "第 0 条" in first
    assert "回到开头" not in first
    following = first.partition('href="')[2].partition('"')[0]
    second = page_of(public, "long", following).text
    assert "第 0 条" not in second
    assert 'href="?from=0"' in second


@pytest.mark.parametrize("closed", ["base", "document", "gone", "no id"])
def test_a_document_that_is_not_public_has_no_page(
    public: FlaskClient, knowledge: Knowledge, closed: str
) -> None:
    put(knowledge, "plant", note("mine", "Secret.", title="Secret", access=("user:acc/zhang",)))
    if closed == "base":
        close_base(knowledge, "plant", "user:acc/zhang")
    path = {
        "base": id_of("plant", "manual.pdf"),
        "document": id_of("plant", "mine"),
        "gone": id_of("plant", "never"),
        "no id": "x",
    }[closed]
    answer = public.get(f"/knowledge/documents/{path}")
    assert answer.status_code == 404
    assert "压缩机" not in answer.text
    assert "Secret" not in answer.text


def test_without_a_public_address_there_are_no_pages(client: FlaskClient) -> None:
    assert page_of(client).status_code == 404


@pytest.mark.parametrize("query", ["?from=-1", "?from=x", "?from=99999999999999999999"])
def test_a_page_from_nowhere_is_no_fault(public: FlaskClient, query: str) -> None:
    assert page_of(public, query=query).status_code == 200


def test_a_citation_s_address_is_the_document_s_own_else_its_page_where_everybody_may_see_it(
    knowledge: Knowledge,
) -> None:
    put(
        knowledge,
        "plant",
        note("own", "泵每月加油。", url="https://intranet.example/p"),
        note("page", "泵每月加油。"),
        note("closed", "泵每月加油。", access=("user:acc/zhang",)),
    )
    rights = frozenset({"public", "user:acc/zhang"})

    def urls(url: str) -> dict[str, str]:
        settings = knowledge.settings.model_copy(update={"knowledge_public_url": url})
        opened = Knowledge(settings, knowledge.catalogue, knowledge.index)
        found = search(opened, Question("泵每月加油", rights=rights))
        return {passage.source_id: passage.url for passage in found.passages}

    own = {"own": "https://intranet.example/p", "closed": ""}
    page = f"{PUBLIC_URL}/knowledge/documents/{id_of('plant', 'page')}"
    assert urls(PUBLIC_URL + "/") == {**own, "page": page}
    assert urls("") == {**own, "page": ""}
