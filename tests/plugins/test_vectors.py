"""Package B's embeddings: batches, order, usage, and what is no answer."""

import json
from typing import Any

import pytest
from dify_plugin.entities.model.text_embedding import TextEmbeddingResult
from dify_plugin.errors.model import InvokeBadRequestError, InvokeServerUnavailableError
from models import vectors

from tests.plugins.private_models import credentials, make, serve
from tests.plugins.raw_server import RawServer

PATH = "/v1/embeddings"
NAME = "private-embedding"


def answer(*embeddings: list[float], tokens: int = 3) -> dict[str, Any]:
    rows = [{"object": "embedding", "index": i, "embedding": e} for i, e in enumerate(embeddings)]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": rows, "model": NAME, "usage": usage}


def embed(server: RawServer, *texts: str) -> TextEmbeddingResult:
    result = make("text_embedding").invoke(NAME, credentials(server), list(texts))
    assert isinstance(result, TextEmbeddingResult)
    return result


def test_vectors_are_in_the_order_of_the_texts(server: RawServer) -> None:
    body = answer([1.0, 0.5], [2.0, 0.25])
    body["data"].reverse()
    server.answers_json(PATH, body)
    result = embed(server, "一", "二")
    assert result.embeddings == [[1.0, 0.5], [2.0, 0.25]]
    assert (result.usage.tokens, result.usage.total_tokens) == (3, 3)
    assert result.usage.latency >= 0
    (asked,) = server.asked(PATH)
    assert json.loads(asked) == {"model": NAME, "input": ["一", "二"], "encoding_format": "float"}


def test_many_texts_go_in_batches_of_the_servers_size(server: RawServer) -> None:
    serve(server, {"id": NAME, "type": "text-embedding", "max_batch": 2})
    server.answers_json(PATH, answer([1.0], [2.0]))
    server.answers_json(PATH, answer([3.0]))
    assert embed(server, "a", "b", "c").embeddings == [[1.0], [2.0], [3.0]]
    assert [json.loads(body)["input"] for body in server.asked(PATH)] == [["a", "b"], ["c"]]


def test_no_texts_are_no_vectors(server: RawServer) -> None:
    assert embed(server).embeddings == []
    assert server.asked(PATH) == []


def test_an_engine_that_sends_no_usage_gets_an_estimate(server: RawServer) -> None:
    server.answers_json(PATH, {**answer([1.0]), "usage": None})
    assert embed(server, "年假有几天").usage.tokens == 3


@pytest.mark.parametrize(
    "body",
    [
        answer([1.0]),
        answer([1.0], [2.0], [3.0]),
        answer([1.0], [2.0, 3.0]),
        {"data": [{"index": 0, "embedding": [1]}, {"index": 0, "embedding": [2]}]},
        {"data": [{"index": 0, "embedding": [1]}, {"index": 1, "embedding": [float("nan")]}]},
        {"data": "AAAA"},
        [],
    ],
    ids=["too few", "too many", "uneven", "twice", "no number", "text", "list"],
)
def test_what_is_no_vector_for_each_text_is_an_error(server: RawServer, body: Any) -> None:
    server.answers_json(PATH, body)
    with pytest.raises(InvokeServerUnavailableError):
        embed(server, "a", "b")


def test_more_than_a_line_to_the_daemon_holds_is_refused(
    server: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, "NUMBERS", 3)
    server.answers_json(PATH, answer([1.0, 2.0], [3.0, 4.0]))
    with pytest.raises(InvokeBadRequestError, match="fewer"):
        embed(server, "a", "b")


def test_tokens_are_counted_for_each_text() -> None:
    assert make("text_embedding").get_num_tokens(NAME, {}, ["年假", "", "abc"]) == [2, 0, 1]
