"""The load generator against a real tool server, and the web benchmark with its stand-in engine."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.bench import compare, load, models, servers, web
from scripts.bench.load import Target
from scripts.bench.models import Shape

TINY = Shape("tiny", 32, 64, 2, 4, 2, 8000, 512)
FRAMES = (
    'data: {"choices":[{"delta":{"role":"assistant","content":""}}]}\n\n'
    ": alive\n\n"
    'data: {"choices":[{"delta":{"content":" bébé"}}]}\n\n'
    'data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":2}}\n\n'
    "data: [DONE]\n\n"
).encode()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models.write(tmp_path_factory.mktemp("tiny"), TINY)


@pytest.fixture(scope="module")
def ours(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    with servers.ours(folder, tmp_path_factory.mktemp("ours")) as server:
        yield server


@pytest.mark.thorough
def test_a_burst_is_answered_whole_and_costs_cpu(ours: servers.Server, folder: Path) -> None:
    texts = load.prompts(servers.words_of(folder), 6, seed=1, tokens=(64, 96))
    before = ours.cpu_s()
    answers = ours.ask(texts, streams=3, max_tokens=8)
    assert [answer.completion_tokens for answer in answers] == [8] * 6
    assert {answer.counted_by for answer in answers} == {"usage"}
    assert all(64 <= (answer.prompt_tokens or 0) <= 96 for answer in answers)
    assert all(answer.sent_at < answer.events[0].at <= answer.ended_at for answer in answers)
    row = compare.figures(answers, 2.0, ours.cpu_s() - before)
    assert row["tokens_per_s"] == 24.0
    assert row["cpu_ms_per_token"] > 0


@pytest.mark.thorough
def test_a_refusal_is_an_error_with_the_servers_words(ours: servers.Server) -> None:
    target = Target(ours.url, "another-model", "wrong-key")
    with pytest.raises(load.LoadError, match="401"):
        load.ask_all(target, ["hello"], streams=1, max_tokens=2)


@pytest.mark.thorough
def test_sequential_answers_wait_for_each_other(folder: Path, tmp_path: Path) -> None:
    texts = load.prompts(servers.words_of(folder), 3, seed=2, tokens=(64, 64))
    with servers.sequential(folder, tmp_path) as plain:
        answers = plain.ask(texts, streams=3, max_tokens=4)
    assert [answer.completion_tokens for answer in answers] == [4, 4, 4]
    assert answers[0].ended_at <= answers[1].events[0].at < answers[2].events[0].at


@pytest.mark.thorough
def test_the_web_benchmark_accounts_for_every_token(folder: Path, tmp_path: Path) -> None:
    row = web.measure(folder, tmp_path, streams=8, rate=100.0, tokens=100)
    assert row["tokens"] == 800
    assert 0 < row["events"] <= 800
    assert 0 < row["added_latency_p50_ms"] < 1000
    assert row["cpu_us_per_token"] > 0


@pytest.mark.parametrize("chunked", [True, False])
def test_an_answer_is_read_the_same_wherever_its_bytes_are_cut(chunked: bool) -> None:
    whole = _http(FRAMES, chunked=chunked)
    for cut in range(1, len(whole)):
        record = load.Record(0.0)
        record.parts = [(1.0, whole[:cut]), (2.0, whole[cut:])]
        answer = record.answer()
        assert (answer.prompt_tokens, answer.completion_tokens) == (7, 2)
        assert [event.text for event in answer.events] == [" bébé"]


def _http(body: bytes, *, chunked: bool) -> bytes:
    if not chunked:
        return b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body
    parts = [body[at : at + 50] for at in range(0, len(body), 50)]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in [*parts, b""])
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks
