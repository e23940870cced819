"""Fusion: by hand, with ties; and the reranker, that may fail."""

from collections.abc import Iterator

import pytest

from tests.fakes.embedding import FakeModel
from tool_server.knowledge.fusion import K, Ranking, fuse
from tool_server.knowledge.index import Hit
from tool_server.knowledge.rerank import Reranker
from tool_server.knowledge.search import Knowledge, Question, search
from tool_server.settings import Settings


def ranking(names: str, weight: float = 1.0) -> Ranking:
    return Ranking([Hit(name, 0.5) for name in names], weight)


def test_the_first_of_all_rankings_has_the_score_1() -> None:
    hits = fuse([ranking("ab"), ranking("ac")], limit=2)
    assert [hit.passage_id for hit in hits] == ["a", "b"]
    assert hits[0].score == 1
    assert hits[1].score == pytest.approx((1 / (K + 2)) / (2 / (K + 1)))


def test_two_middling_places_are_better_than_one_first() -> None:
    assert [hit.passage_id for hit in fuse([ranking("axb"), ranking("cxd")], limit=1)] == ["x"]


def test_a_heavier_ranking_goes_first_and_equals_go_by_their_ids() -> None:
    assert [h.passage_id for h in fuse([ranking("a"), ranking("b", 2)], limit=2)] == ["b", "a"]
    assert [h.passage_id for h in fuse([ranking("b"), ranking("a")], limit=2)] == ["a", "b"]


@pytest.fixture
def model() -> Iterator[FakeModel]:
    with FakeModel() as model:
        yield model


def reranker(settings: Settings, model: FakeModel) -> Reranker:
    changes = {"knowledge_rerank_url": model.url, "knowledge_rerank_top_n": 2}
    return Reranker(settings.model_copy(update=changes))


def test_the_rerank_model_orders_the_first_and_drops_the_rest(
    settings: Settings, model: FakeModel
) -> None:
    model.relevant = "good"
    texts = {"a": "bad", "b": "good", "c": "good"}
    first = reranker(settings, model)
    hits = first.rerank("question", ranking("abc").hits, texts)
    assert [(hit.passage_id, hit.score) for hit in hits] == [("b", 0.9), ("a", 0.1)]
    assert model.bodies[0]["documents"] == ["bad", "good"]
    first.close()


def test_a_rerank_model_that_fails_leaves_the_order(settings: Settings, model: FakeModel) -> None:
    model.status = 500
    first = reranker(settings, model)
    hits = first.rerank("question", ranking("abc").hits, {"a": "x", "b": "x", "c": "x"})
    assert [hit.passage_id for hit in hits] == ["a", "b", "c"]
    first.close()


def test_a_search_asks_the_rerank_model(handbook: Knowledge, model: FakeModel) -> None:
    model.relevant = "VPN"
    with_model = Knowledge(
        handbook.settings,
        handbook.catalogue,
        handbook.index,
        reranker=Reranker(handbook.settings.model_copy(update={"knowledge_rerank_url": model.url})),
    )
    result = search(with_model, Question("password or VPN or Wi-Fi", top_k=1))
    assert "VPN" in result.passages[0].title
    assert model.bodies[0]["query"] == "password or VPN or Wi-Fi"
    assert with_model.reranker is not None
    with_model.reranker.close()
