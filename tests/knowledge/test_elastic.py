"""The way to Elasticsearch without one: settings that do not fit, a cluster that fails, what a search is told then."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Response, request

from playground.serving import Server
from tool_server.errors import Unavailable
from tool_server.knowledge.bases import Profile
from tool_server.knowledge.index.circuit import FAILURES, PAUSE_S, WITHIN_S, Circuit
from tool_server.knowledge.index.elastic import Elastic
from tool_server.knowledge.index.elastic_client import options
from tool_server.knowledge.index.elastic_schema import Names, template
from tool_server.settings import Settings, SettingsError, load

PREFIX = "SHENQIAO_KNOWLEDGE_ELASTICSEARCH"


def with_settings(tmp_path: Path, **changes: str) -> Settings:
    return load(
        {
            "SHENQIAO_DATA_DIR": str(tmp_path),
            "SHENQIAO_RUN_DIR": str(tmp_path / "r"),
            "SHENQIAO_KNOWLEDGE_BACKEND": "elasticsearch",
            **{f"{PREFIX}_{name}": value for name, value in changes.items()},
        }
    )


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({}, "URLS is empty"),
        ({"URLS": "search.example:9200"}, "https://host:9200"),
        ({"URLS": "https://elastic:secret@a:9200"}, "without a user"),
        ({"URLS": "https://a:9200", "USER": "u"}, "PASSWORD"),
        ({"URLS": "https://a:9200", "PASSWORD": "p"}, "USER"),
        (
            {"URLS": "https://a:9200", "API_KEY": "k", "USER": "u", "PASSWORD": "p"},
            "one of the two",
        ),
        ({"URLS": "https://a:9200", "CA_FILE": "/nowhere.pem"}, "no file"),
        ({"URLS": "https://a:9200", "CA_FILE": __file__}, "no certificate"),
        (
            {"URLS": "https://a:9200", "CA_FILE": __file__, "FINGERPRINT": "ab" * 32},
            "one of the two",
        ),
    ],
)
def test_settings_that_do_not_fit_are_named(
    tmp_path: Path, changes: dict[str, str], word: str
) -> None:
    with pytest.raises(SettingsError, match=word) as caught:
        options(with_settings(tmp_path, **changes))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["FINGERPRINT", "PREFIX"])
def test_a_fingerprint_or_prefix_that_is_none_refuses_to_start(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match=name):
        with_settings(tmp_path, **{name: "No!"})


def test_verification_of_certificates_cannot_be_switched_off(tmp_path: Path) -> None:
    made = options(with_settings(tmp_path, URLS="https://a:9200,https://b:9200"))
    assert made["hosts"] == ["https://a:9200", "https://b:9200"]
    assert "verify_certs" not in made
    assert not any("verify" in name for name in Settings.model_fields)


class Cluster:
    """Answers as Elasticsearch does, or fails as it is told."""

    def __init__(self) -> None:
        self.version = "8.19.5"
        self.status = 200
        self.delay_s = 0.0
        self.product = "Elasticsearch"
        self.asked: list[str] = []

    def app(self) -> Flask:
        app = Flask("cluster")

        @app.route("/<path:path>", methods=["GET", "POST", "PUT"])
        def answer(path: str) -> Response:
            self.asked.append(path)
            if path.startswith("_nodes"):
                return self._json({"nodes": {"a": {"version": self.version}}}, 200)
            time.sleep(self.delay_s)
            if self.status != 200:
                return self._json({"error": {"type": "x"}, "status": self.status}, self.status)
            state = {"owner": "me", "applied": 7}
            return self._json(
                {"_index": "i", "_seq_no": 1, "_primary_term": 1, "_source": {"state": state}}, 200
            )

        return app

    def _json(self, body: object, status: int) -> Response:
        answer = Response(json.dumps(body), status, content_type=request.accept_mimetypes.best)
        answer.headers["X-Elastic-Product"] = self.product
        return answer


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def index(cluster: Cluster, tmp_path: Path) -> Iterator[Elastic]:
    (tmp_path / "installation").write_text("me")
    with Server(cluster.app()) as server:
        clock = iter(range(0, 10**6, 10))  # each look is later than the last one is trusted
        settings = with_settings(tmp_path, URLS=server.url, TIMEOUT_S="0.5")
        index = Elastic(settings, clock=lambda: float(next(clock)))
        yield index
        index.close()


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (401, "refuses our key"),
        (403, "not the right"),
        (429, "overloaded"),
        (503, "overloaded"),
        (400, "refused a call"),
        (500, "refused a call"),
    ],
)
def test_what_the_cluster_refuses_is_a_sentence(
    index: Elastic, cluster: Cluster, status: int, sentence: str
) -> None:
    cluster.status = status
    with pytest.raises(Unavailable, match=sentence) as caught:
        index.applied()
    assert "127.0.0.1" not in caught.value.message
    assert caught.value.retry_after


@pytest.mark.quiet
def test_a_cluster_that_is_slow_is_left_after_the_time_limit(
    index: Elastic, cluster: Cluster
) -> None:
    cluster.delay_s = 3
    started = time.monotonic()
    with pytest.raises(Unavailable, match="in time"):
        index.applied()
    assert time.monotonic() - started < 2.5


def test_a_cluster_that_cannot_be_reached_is_a_sentence(tmp_path: Path) -> None:
    index = Elastic(with_settings(tmp_path, URLS="http://127.0.0.1:9"))
    with pytest.raises(Unavailable, match="cannot be reached"):
        index.applied()
    index.close()


@pytest.mark.parametrize("version", ["7.17.0", "10.0.0"])
def test_a_server_that_is_too_old_or_too_new_is_named(
    index: Elastic, cluster: Cluster, version: str
) -> None:
    cluster.version = version
    with pytest.raises(Unavailable, match=f"version {version}"):
        index.applied()


def test_something_else_than_elasticsearch_is_said(index: Elastic, cluster: Cluster) -> None:
    cluster.product = "other"
    with pytest.raises(Unavailable, match="not Elasticsearch"):
        index.applied()


def test_the_version_is_asked_once_and_the_routes_that_name_a_server_never(
    index: Elastic, cluster: Cluster
) -> None:
    for _ in range(3):
        assert index.applied() == 7
    assert len([path for path in cluster.asked if path.startswith("_nodes")]) == 1
    assert "" not in cluster.asked


def test_after_several_failures_the_cluster_is_left_alone_for_a_moment(
    index: Elastic, cluster: Cluster
) -> None:
    cluster.status = 503
    for _ in range(FAILURES):
        with pytest.raises(Unavailable):
            index.applied()
    asked = len(cluster.asked)
    with pytest.raises(Unavailable, match="tried again"):
        index.applied()
    assert len(cluster.asked) == asked


def test_a_key_that_is_refused_does_not_open_the_circuit(index: Elastic, cluster: Cluster) -> None:
    cluster.status = 403
    for _ in range(FAILURES + 1):
        with pytest.raises(Unavailable, match="right"):
            index.applied()


def test_threads_ask_for_the_state_once_a_second_together(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "installation").write_text("me")
    with Server(cluster.app()) as server:
        index = Elastic(with_settings(tmp_path, URLS=server.url), clock=lambda: 0.0)
        for _ in range(20):
            index.applied()
        index.close()
    assert len([path for path in cluster.asked if not path.startswith("_nodes")]) == 1


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def broken(clock: Callable[[], float]) -> Circuit:
    circuit = Circuit("test", clock)
    for _ in range(FAILURES):
        circuit.failed()
    return circuit


def test_a_circuit_lets_one_call_try_after_its_pause_and_closes_when_that_is_answered() -> None:
    clock = Clock()
    circuit = broken(clock)
    assert (circuit.open, circuit.admits()) == (True, False)
    clock.now += PAUSE_S
    assert [circuit.admits() for _ in range(3)] == [True, False, False]
    circuit.failed()
    assert not circuit.admits()
    clock.now += PAUSE_S
    assert circuit.admits()
    circuit.succeeded()
    assert [circuit.admits() for _ in range(3)] == [True, True, True]


def test_failures_far_apart_do_not_open_a_circuit() -> None:
    clock = Clock()
    circuit = Circuit("test", clock)
    for _ in range(3 * FAILURES):
        circuit.failed()
        clock.now += WITHIN_S / (FAILURES - 2)
    assert not circuit.open


def test_names_of_indexes_are_ours_only_with_our_prefix() -> None:
    names = Names("kb")
    assert names.is_ours(names.fresh(0.0))
    assert not names.is_ours(Names("kb_v1").fresh(0.0))
    assert not names.is_ours("kb_v1_backup")


def test_the_template_holds_what_the_setting_says_and_does_not_grow(tmp_path: Path) -> None:
    settings = with_settings(tmp_path, TOTAL_FIELDS="1234")
    made = template(Names("kb"), settings)
    limit = made["template"]["settings"]["index"]["mapping"]["total_fields"]["limit"]
    mappings: Any = made["template"]["mappings"]
    assert (limit, mappings["dynamic"], made["_meta"]["schema_version"]) == (1234, False, 1)


@pytest.mark.parametrize(
    ("foreign", "word"),
    [
        ({}, "index"),
        ({"index": "a,b"}, "index"),
        ({"index": "logs-*"}, "index"),
        ({"index": "a", "fields": []}, "fields"),
        ({"index": "a", "fields": ["title^x"]}, "number"),
        ({"index": "a", "fields": ["*"]}, "no name of a field"),
        ({"index": "a", "fields": {"title": -1}}, "weight"),
        ({"index": "a", "type": "phrase"}, "type"),
        ({"index": "a", "filter": {}}, "one query"),
        ({"index": "a", "filter": "state:published"}, "filter"),
        ({"index": "a", "filter": {"bool": {"must": [{"script": {"source": "1"}}]}}}, "script"),
        ({"index": "a", "filter": {"term": {"x": "y" * 20_000}}}, "characters"),
        ({"index": "a", "colour": 1}, "colour"),
    ],
)
def test_a_foreign_index_that_cannot_be_meant_is_refused(
    foreign: dict[str, Any], word: str
) -> None:
    with pytest.raises(ValueError, match=word):
        Profile.model_validate({"foreign": foreign})


def test_fields_are_written_as_elasticsearch_does_or_as_numbers() -> None:
    made = [
        Profile.model_validate({"foreign": {"index": "knowledge_base", "fields": fields}}).foreign
        for fields in (["title^3", "content"], {"title": 3, "content": 1})
    ]
    assert made[0] == made[1]
