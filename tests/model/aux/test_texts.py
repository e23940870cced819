"""Embeddings and rerank over real HTTP: the same numbers as plain transformers, in the shapes that clients read."""

import base64
import json
import math
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from openai import OpenAI
from tokenizers import Tokenizer
from transformers import AutoModel, AutoModelForCausalLM, AutoModelForSequenceClassification

from tests.model.aux.conftest import AuxServer, Folders
from tests.waiting import wait_for
from tool_server.model.aux import texts as prompts

pytestmark = pytest.mark.thorough

TEXTS = ["the quick brown fox", "年假有几天", "word " * 40, "good", "a fox 年假"]
EPSILON = 1e-5


def embed(aux: AuxServer, **body: Any) -> list[list[float]]:
    answer = aux.post("/v1/embeddings", {"model": "private-embedding", **body})
    assert answer.status_code == 200, answer.text
    return [entry["embedding"] for entry in answer.json()["data"]]


def raw_tokenizer(folder: Path) -> Tokenizer:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def plain_last(folder: Path, text: str) -> list[float]:
    """One text through a plain forward: the last token's state, normalised."""
    tokens = raw_tokenizer(folder).encode(text).ids
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.inference_mode():
        last = model(torch.tensor([tokens])).last_hidden_state[0, -1]
    return list((last / last.norm()).tolist())


def far(one: list[float], other: list[float]) -> float:
    return max(abs(a - b) for a, b in zip(one, other, strict=True))


def test_an_embedding_is_what_a_plain_forward_gives(aux: AuxServer, folders: Folders) -> None:
    vectors = embed(aux, input=TEXTS)
    for text, vector in zip(TEXTS, vectors, strict=True):
        assert far(vector, plain_last(folders.qwen3, text)) < EPSILON
        assert math.isclose(math.hypot(*vector), 1, rel_tol=1e-5)


def test_a_batch_changes_nothing(aux: AuxServer) -> None:
    together = embed(aux, input=TEXTS)
    with ThreadPoolExecutor(len(TEXTS)) as pool:
        beside = list(pool.map(lambda text: embed(aux, input=text)[0], TEXTS))
    for one, two in zip(together, beside, strict=True):
        assert far(one, two) < EPSILON


def counted(aux: AuxServer) -> bool:
    """Whether a heartbeat has told of embedding's forwards yet."""
    lines = aux.metrics().splitlines()
    return any("aux_batch_items_count" in line and 'kind="embedding"' in line for line in lines)


def forwards(aux: AuxServer) -> tuple[float, float, float]:
    """Embedding's forwards of one text, all forwards, and the texts in them, as the last heartbeat told."""
    lines = [line for line in aux.metrics().splitlines() if 'kind="embedding"' in line]
    names = ('aux_batch_items_bucket{kind="embedding",le="1.0"', "aux_batch_items_count", "_sum{")
    found = [next(line for line in lines if name in line) for name in names]
    one, count, items = (float(line.split()[-1]) for line in found)
    return one, count, items


def test_requests_of_several_clients_share_forwards(aux: AuxServer) -> None:
    embed(aux, input="warm")
    wait_for(lambda: counted(aux))
    before = forwards(aux)[2]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: embed(aux, input=f"word {n}"), range(64)))
    wait_for(lambda: forwards(aux)[2] >= before + 64)
    one, count, _ = forwards(aux)
    assert one < count


def test_base64_and_floats_are_the_same_numbers(aux: AuxServer) -> None:
    (floats,) = embed(aux, input="good")
    (text,) = embed(aux, input="good", encoding_format="base64")
    packed = base64.b64decode(str(text))
    assert list(struct.unpack(f"<{len(packed) // 4}f", packed)) == floats


def test_the_official_client_gets_vectors_and_usage(aux: AuxServer, folders: Folders) -> None:
    client = OpenAI(
        base_url=f"{aux.url}/v1", api_key=str(aux.http.headers["Authorization"]).split()[1]
    )
    embed(aux, input="the model is loaded from here on")
    answer = client.embeddings.create(model="private-embedding", input=TEXTS[:2])
    tokens = [len(raw_tokenizer(folders.qwen3).encode(text).ids) for text in TEXTS[:2]]
    assert answer.usage.total_tokens == sum(tokens)
    assert far(answer.data[1].embedding, plain_last(folders.qwen3, TEXTS[1])) < EPSILON


def test_tokens_are_taken_as_text_is(aux: AuxServer, folders: Folders) -> None:
    tokens = raw_tokenizer(folders.qwen3).encode(TEXTS[0], add_special_tokens=False).ids
    (expected,) = embed(aux, input=TEXTS[0])
    assert far(embed(aux, input=tokens)[0], expected) < EPSILON
    assert far(embed(aux, input=[tokens, tokens])[1], expected) < EPSILON


def test_a_shortened_vector_is_the_beginning_with_length_one(aux: AuxServer) -> None:
    (whole,) = embed(aux, input="good")
    (short,) = embed(aux, input="good", dimensions=8)
    length = math.hypot(*whole[:8])
    assert far(short, [number / length for number in whole[:8]]) < EPSILON


@pytest.mark.parametrize(
    ("wrong", "status", "param"),
    [
        ({"input": ["good", "word " * 300]}, 400, "input.1"),
        ({"input": "good", "dimensions": 64}, 400, "dimensions"),
        ({"input": "good", "dimensions": 0}, 400, "dimensions"),
        ({"input": "good", "encoding_format": "int8"}, 400, "encoding_format"),
        ({"input": ["x"] * 17}, 400, "input"),
        ({"input": []}, 400, "input"),
        ({"input": ""}, 400, "input"),
        ({"input": ["good", 3]}, 400, "input"),
        ({"input": [["good"]]}, 400, "input"),
        ({"input": {"text": "good"}}, 400, "input"),
        ({"input": [True]}, 400, "input"),
        ({"input": [10**6]}, 400, "input.0"),
        ({"input": [-1]}, 400, "input"),
        ({"input": [10**30]}, 400, "input"),
        ({"input": "\ud800"}, 400, "input"),
        ({}, 400, "input"),
        ({"input": "good", "model": "other"}, 404, "model"),
        ({"input": "good", "model": "\ud800"}, 400, "model"),
    ],
)
def test_a_wrong_request_names_the_field(
    aux: AuxServer, wrong: dict[str, Any], status: int, param: str
) -> None:
    body = json.dumps({"model": "private-embedding", **wrong})
    answer = aux.patient(lambda: aux.http.post("/v1/embeddings", content=body))
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param), answer.text


def rank(aux: AuxServer, **body: Any) -> list[dict[str, Any]]:
    answer = aux.post("/v1/rerank", {"model": "private-rerank", **body})
    assert answer.status_code == 200, answer.text
    return list(answer.json()["results"])


def test_a_ranking_has_the_scores_of_a_plain_forward(aux: AuxServer, folders: Folders) -> None:
    results = rank(aux, query="fox", documents=[*TEXTS, {"text": "good"}])
    model = AutoModelForSequenceClassification.from_pretrained(folders.cross_encoder).eval()
    tokenizer = raw_tokenizer(folders.cross_encoder)
    for result in results:
        text = [*TEXTS, "good"][result["index"]]
        tokens = torch.tensor([tokenizer.encode("fox", text).ids])
        with torch.inference_mode():
            score = model(tokens).logits[0, 0].sigmoid().item()
        assert abs(result["relevance_score"] - score) < EPSILON
        assert result["document"] == {"text": text}
    scores = [result["relevance_score"] for result in results]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) > 3


def test_the_best_ones_come_without_their_texts_where_that_is_asked_for(aux: AuxServer) -> None:
    results = rank(aux, query="fox", documents=TEXTS, top_n=2, return_documents=False)
    assert len(results) == 2
    assert set(results[0]) == {"index", "relevance_score"}


def test_of_a_long_document_the_beginning_is_read(aux: AuxServer) -> None:
    long = "年假 " * 400
    one, two = rank(aux, query="fox", documents=[long, long + " good bad"])
    assert one["relevance_score"] == pytest.approx(two["relevance_score"], abs=EPSILON)


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"query": "word " * 300}, "query"),
        ({"query": ""}, "query"),
        ({"documents": []}, "documents"),
        ({"documents": ["x"] * 17}, "documents"),
        ({"documents": ["x", 3]}, "documents.1"),
        ({"documents": [{"title": "x"}]}, "documents.0"),
        ({"documents": "x"}, "documents"),
        ({"top_n": 0}, "top_n"),
        ({"query": "\udfff"}, "query"),
    ],
)
def test_a_wrong_ranking_names_the_field(aux: AuxServer, wrong: dict[str, Any], param: str) -> None:
    asked = {"model": "private-rerank", "query": "fox", "documents": ["x"], **wrong}
    answer = aux.patient(lambda: aux.http.post("/v1/rerank", content=json.dumps(asked)))
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param), answer.text


def test_a_key_of_the_scope_model_is_needed(aux: AuxServer) -> None:
    for path in ("embeddings", "rerank", "audio/transcriptions"):
        answer = aux.http.post(f"/v1/{path}", headers={"Authorization": "Bearer no"})
        assert answer.status_code == 401


def test_the_models_are_listed_with_what_they_take(aux: AuxServer) -> None:
    listed = {model["id"]: model for model in aux.http.get("/v1/models").json()["data"]}
    assert {model["type"] for model in listed.values() if "type" in model} >= {
        "text-embedding",
        "rerank",
        "speech2text",
        "moderation",
    }
    embedding = listed["private-embedding"]
    assert (embedding["context_length"], embedding["dimensions"], embedding["max_batch"]) == (
        256,
        32,
        16,
    )
    assert listed["private-rerank"]["context_length"] == 254  # RoBERTa's positions begin at 2


def test_the_web_process_has_no_torch(aux: AuxServer) -> None:
    embed(aux, input="good")
    maps = [
        Path(f"/proc/{pid}/maps").read_text() for pid in (aux.pid("web"), *children(aux.pid("web")))
    ]
    assert any("tokenizers" in text for text in maps)
    assert not any("libtorch" in text for text in maps)


def children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def plain_yes(folder: Path, query: str, text: str) -> float:
    """The published way: the prompt's next token, of "no" and "yes"."""
    tokenizer = raw_tokenizer(folder)
    body = f"<Instruct>: {prompts.INSTRUCTION}\n<Query>: {query}\n<Document>: {text}"
    parts = (prompts.BEFORE, body, prompts.AFTER)
    tokens = [
        token for part in parts for token in tokenizer.encode(part, add_special_tokens=False).ids
    ]
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.inference_mode():
        logits = model(torch.tensor([tokens])).logits[0, -1]
    words = [tokenizer.token_to_id(word) for word in ("no", "yes")]
    return float(logits[words].softmax(-1)[1])
