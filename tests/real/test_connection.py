"""The way to a real Elasticsearch: keys, rights, certificates, a node that is away, the newest version."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.real import certificates
from tests.real.node import PASSWORD, Node
from tests.real.waiting import wait_until
from tool_server.app import create_app
from tool_server.auth import Keys
from tool_server.errors import Unavailable
from tool_server.knowledge.ingest import ingest
from tool_server.knowledge.search import Knowledge, Question, search

type Open = Callable[..., Knowledge]
PREFIX = "SHENQIAO_KNOWLEDGE_ELASTICSEARCH"


def rights(node: Node, prefix: str, name: str) -> str:
    """An API key with the rights that docs/elasticsearch.md asks for."""
    writer: dict[str, Any] = {
        "cluster": ["monitor", "manage_index_templates"],
        "indices": [
            {
                "names": [f"{prefix}_*"],
                "privileges": ["create_index", "write", "manage", "read", "view_index_metadata"],
            }
        ],
    }
    reader = {"cluster": [], "indices": [{"names": [f"{prefix}_read"], "privileges": ["read"]}]}
    role = {"writer": writer, "reader": reader}[name]
    body = {"name": f"{prefix}-{name}", "role_descriptors": {name: role}}
    answer = node.call("POST", "/_security/api_key", body)
    assert isinstance(answer, dict)
    return str(answer["encoded"])


def trusted(node: Node, **changes: str) -> dict[str, str]:
    return {f"{PREFIX}_CA_FILE": str(node.ca_file), **changes}


@pytest.fixture
def filled(secured: Node, opened: Open, prefix: str, tmp_path: Path) -> Knowledge:
    """Ingested with the writer's rights and no more."""
    key = rights(secured, prefix, "writer")
    knowledge = opened(secured.url, **trusted(secured), **{f"{PREFIX}_API_KEY": key})
    (tmp_path / "a.txt").write_text("apples")
    ingest(knowledge, "kb", [tmp_path / "a.txt"])
    return knowledge


def test_the_writers_rights_are_enough_to_ingest_to_rebuild_and_to_search(
    filled: Knowledge,
) -> None:
    filled.index.rebuild(filled.catalogue, lambda _done, _all: None)
    assert search(filled, Question("apples", top_k=1)).found


def test_a_key_that_may_only_read_the_alias_searches_and_does_not_write(
    filled: Knowledge, secured: Node, opened: Open, prefix: str
) -> None:
    key = rights(secured, prefix, "reader")
    reader = opened(secured.url, **trusted(secured), **{f"{PREFIX}_API_KEY": key})
    assert search(reader, Question("apples", top_k=1)).found
    with pytest.raises(Unavailable, match="403"):
        reader.index.rebuild(reader.catalogue, lambda _done, _all: None)
    filled.index.rebuild(filled.catalogue, lambda _done, _all: None)
    assert search(reader, Question("apples", top_k=1)).found


@pytest.mark.usefixtures("filled")
def test_a_user_with_a_password_is_known(secured: Node, opened: Open) -> None:
    user = {f"{PREFIX}_USER": "elastic", f"{PREFIX}_PASSWORD": PASSWORD}
    knowledge = opened(secured.url, **trusted(secured), **user)
    assert search(knowledge, Question("apples", top_k=1)).found


@pytest.mark.parametrize(
    "identity",
    [
        {},
        {f"{PREFIX}_API_KEY": "d3Jvbmc6a2V5"},
        {f"{PREFIX}_USER": "elastic", f"{PREFIX}_PASSWORD": "wrong"},
    ],
)
@pytest.mark.usefixtures("filled")
def test_a_wrong_key_is_a_sentence(secured: Node, opened: Open, identity: dict[str, str]) -> None:
    knowledge = opened(secured.url, **trusted(secured), **identity)
    with pytest.raises(Unavailable, match="refuses our key or password"):
        search(knowledge, Question("apples", top_k=1))


def test_the_fingerprint_of_the_nodes_certificate_is_trusted(
    filled: Knowledge, secured: Node, opened: Open
) -> None:
    key = filled.settings.knowledge_elasticsearch_api_key.get_secret_value()
    shown = certificates.fingerprint(secured.certificate)
    knowledge = opened(
        secured.url, **{f"{PREFIX}_API_KEY": key, f"{PREFIX}_FINGERPRINT": shown.upper()}
    )
    assert search(knowledge, Question("apples", top_k=1)).found


def test_a_certificate_of_somebody_else_is_refused(
    secured: Node, opened: Open, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    certificates.make(tmp_path / "other", tmp_path / "other.pem")
    for trust in (
        {},
        {f"{PREFIX}_CA_FILE": str(tmp_path / "other.pem")},
        {f"{PREFIX}_FINGERPRINT": "ab" * 32},
    ):
        knowledge = opened(secured.url, **trust)
        with pytest.raises(Unavailable, match="certificate"):
            knowledge.index.applied()


@pytest.fixture
def client(fragile: Node, opened: Open, tmp_path: Path) -> Iterator[FlaskClient]:
    knowledge = opened(fragile.url)
    (tmp_path / "a.txt").write_text("apples")
    ingest(knowledge, "kb", [tmp_path / "a.txt"])
    app = create_app(knowledge.settings)
    client = app.test_client()
    key = Keys.load(knowledge.settings).secret("knowledge")
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {key}"
    yield client
    app.extensions["channel"].close()


def test_while_the_node_is_away_a_search_is_a_503_and_afterwards_works_by_itself(
    fragile: Node, client: FlaskClient
) -> None:
    body = {"query": "apples", "top_k": 1}
    assert client.post("/knowledge/search", json=body).get_json()["found"]
    assert client.get("/health/ready").get_json()["checks"]["index"]["ok"]
    fragile.stop()
    for _ in range(8):
        answer = client.post("/knowledge/search", json=body)
        assert (answer.status_code, answer.get_json()["error"]["code"]) == (503, "unavailable")
        assert answer.get_json()["error"]["message"].startswith("Elasticsearch")
        assert int(answer.headers["Retry-After"]) > 0
    wait_until(lambda: not client.get("/health/ready").get_json()["checks"]["index"]["ok"])
    assert "shenqiao_elasticsearch_circuit_open 1.0" in client.get("/metrics").text
    fragile.start()
    wait_until(lambda: client.post("/knowledge/search", json=body).status_code == 200)
    assert client.post("/knowledge/search", json=body).get_json()["found"]
    assert "shenqiao_elasticsearch_circuit_open 0.0" in client.get("/metrics").text


def test_elasticsearch_9_is_searched_too(newest: Node, opened: Open, tmp_path: Path) -> None:
    knowledge = opened(newest.url)
    (tmp_path / "a.txt").write_text("apples 年假有几天")
    ingest(knowledge, "kb", [tmp_path / "a.txt"])
    knowledge.index.rebuild(knowledge.catalogue, lambda _done, _all: None)
    (tmp_path / "a.txt").write_text("年假有十二天")
    ingest(knowledge, "kb", [tmp_path / "a.txt"])
    assert search(knowledge, Question("年假", top_k=1)).found
    assert search(knowledge, Question("apples", top_k=1)).passages == ()
