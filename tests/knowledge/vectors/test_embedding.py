"""The client of an embedding model: batches, bounds, and answers that are no vectors."""

from collections.abc import Iterator

import numpy as np
import pytest
from pydantic import SecretStr

from tests.fakes.embedding import DIMENSIONS, FakeModel
from tool_server.knowledge.vectors.embedding import Embedder, EmbeddingError
from tool_server.settings import Settings


@pytest.fixture
def model() -> Iterator[FakeModel]:
    with FakeModel() as model:
        yield model


def embedder(settings: Settings, model: FakeModel, **changes: object) -> Embedder:
    return Embedder(settings.model_copy(update={"knowledge_embedding_url": model.url, **changes}))


def test_passages_go_in_batches_cut_to_their_limit_and_come_back_in_order(
    settings: Settings, model: FakeModel
) -> None:
    client = embedder(
        settings,
        model,
        knowledge_embedding_batch=2,
        knowledge_embedding_characters=3,
        knowledge_embedding_key=SecretStr("sk-test"),
    )
    matrix = client.passages(["aaaa", "bbbb", "cccc"])
    assert [body["input"] for body in model.bodies] == [["aaa", "bbb"], ["ccc"]]
    assert set(model.keys) == {"Bearer sk-test"}
    assert matrix.shape == (3, DIMENSIONS)
    assert np.allclose(np.linalg.norm(matrix, axis=1), 1)
    assert np.allclose(matrix[1], client.question("bbb"))
    client.close()


def test_a_question_has_its_instruction(settings: Settings, model: FakeModel) -> None:
    client = embedder(settings, model, knowledge_embedding_query_instruction="query: ")
    client.question("年假")
    assert model.embedded == ["query: 年假"]
    client.close()


@pytest.mark.parametrize(
    ("vector", "said"),
    [
        ([0.0] * 8, "not finite, or zero"),
        ([float("nan")] * 8, "not finite, or zero"),
        ([1.0] * 7, "another number or length"),
        (["x"] * 8, "cannot be read"),
    ],
)
def test_what_is_no_vector_is_refused(
    settings: Settings, model: FakeModel, vector: list[float], said: str
) -> None:
    model.vector = lambda _text: vector
    client = embedder(settings, model, knowledge_embedding_dimensions=8)
    with pytest.raises(EmbeddingError, match=said):
        client.passages(["text"])
    assert model.bodies[0]["dimensions"] == 8
    client.close()


def test_a_model_that_is_slow_or_gone_is_a_sentence(settings: Settings, model: FakeModel) -> None:
    model.slow_s = 3.0
    client = embedder(settings, model, knowledge_embedding_question_timeout_s=0.5)
    with pytest.raises(EmbeddingError, match="cannot be reached: ReadTimeout"):
        client.question("年假")
    client.close()


def test_another_model_or_length_has_another_name(settings: Settings, model: FakeModel) -> None:
    names = set()
    for changes in ({}, {"knowledge_embedding_model": "b"}, {"knowledge_embedding_dimensions": 8}):
        client = embedder(settings, model, **changes)
        names.add(client.name)
        client.close()
    assert len(names) == 3
