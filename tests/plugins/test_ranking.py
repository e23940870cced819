"""Package B's rerank: order, scores, threshold, and what is no answer."""

import json
from typing import Any

import pytest
from dify_plugin.entities.model.rerank import RerankResult
from dify_plugin.errors.model import InvokeServerUnavailableError

from tests.plugins.private_models import credentials, make, serve
from tests.plugins.raw_server import RawServer

PATH = "/v1/rerank"
PASSAGES = ["a", "b", "c"]


def scores(*pairs: tuple[int, float]) -> dict[str, Any]:
    return {"results": [{"index": i, "relevance_score": score} for i, score in pairs]}


def rank(server: RawServer, passages: list[str], **limits: Any) -> list[tuple[int, str, float]]:
    result = make("rerank").invoke("private-rerank", credentials(server), "q", passages, **limits)
    assert isinstance(result, RerankResult)
    return [(doc.index, doc.text, doc.score) for doc in result.docs]


def test_passages_come_best_first_with_the_models_own_scores(server: RawServer) -> None:
    server.answers_json(PATH, scores((0, 0.2), (2, 0.91), (1, -3.5)))
    assert rank(server, PASSAGES) == [(2, "c", 0.91), (0, "a", 0.2), (1, "b", -3.5)]
    (asked,) = server.asked(PATH)
    assert json.loads(asked) == {
        "model": "private-rerank",
        "query": "q",
        "documents": PASSAGES,
        "top_n": 3,
        "return_documents": False,
    }


@pytest.mark.parametrize(
    ("limits", "kept"),
    [
        ({"score_threshold": 0.2}, [2, 0]),
        ({"score_threshold": 0.0, "top_n": 9}, [2, 0]),
        ({"top_n": 1}, [2]),
        ({"score_threshold": 0.95}, []),
    ],
)
def test_a_threshold_and_a_count_keep_the_best(
    server: RawServer, limits: dict[str, Any], kept: list[int]
) -> None:
    server.answers_json(PATH, scores((0, 0.2), (2, 0.91), (1, -3.5)))
    assert [index for index, _, _ in rank(server, PASSAGES, **limits)] == kept


def test_many_passages_go_in_batches_and_are_ranked_together(server: RawServer) -> None:
    serve(server, {"id": "private-rerank", "type": "rerank", "max_batch": 2})
    server.answers_json(PATH, scores((0, 0.2), (1, 0.7)))
    server.answers_json(PATH, scores((0, 0.5)))
    assert rank(server, PASSAGES, top_n=2) == [(1, "b", 0.7), (2, "c", 0.5)]
    asked = [json.loads(body) for body in server.asked(PATH)]
    assert [(a["documents"], a["top_n"]) for a in asked] == [(["a", "b"], 2), (["c"], 1)]


def test_no_passages_are_not_asked_for(server: RawServer) -> None:
    assert rank(server, []) == []
    assert server.asked(PATH) == []


@pytest.mark.parametrize(
    "body",
    [
        scores((3, 0.5)),
        scores((-1, 0.5)),
        scores((0, 0.5), (0, 0.4)),
        scores((0, float("nan"))),
        {"results": None},
        {},
    ],
)
def test_what_is_no_ranking_is_an_error(server: RawServer, body: Any) -> None:
    server.answers_json(PATH, body)
    with pytest.raises(InvokeServerUnavailableError):
        rank(server, PASSAGES)
