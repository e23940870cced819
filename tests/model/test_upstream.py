"""The backend `upstream` over real HTTP: answers, choice, failover, circuits, admission."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.fakes.upstream import WORDS, FakeUpstream, Plan
from tests.model.upstream_server import UpstreamServer, text_of
from tests.waiting import wait_for

TEXT = "".join(WORDS)


def test_an_answer_has_our_names_the_upstreams_text_and_usage(
    single: UpstreamServer, fakes: list[FakeUpstream]
) -> None:
    body = single.chat().json()
    assert (body["object"], body["model"]) == ("chat.completion", "private-deepseek")
    assert body["choices"][0]["message"] == {"role": "assistant", "content": TEXT}
    assert body["choices"][0]["finish_reason"] == "stop"
    assert body["usage"] == {"prompt_tokens": 5, "completion_tokens": 4, "total_tokens": 9}
    assert fakes[0].bodies[0]["model"] == "fake-model"
    assert fakes[0].bodies[0]["stream"] is True
    assert fakes[0].ids == [f"{body['id']}-1"]


def test_a_stream_has_the_same_and_ends_with_usage_and_done(single: UpstreamServer) -> None:
    chunks = single.chunks()
    assert text_of(chunks) == TEXT
    assert chunks[-1]["usage"]["total_tokens"] == 9
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert {chunk["model"] for chunk in chunks} == {"private-deepseek"}
    assert len({chunk["id"] for chunk in chunks}) == 1


def test_the_context_is_the_upstreams(single: UpstreamServer) -> None:
    (model,) = single.http.get("/v1/models").json()["data"]
    assert (model["id"], model["context_length"]) == ("private-deepseek", 4096)


def test_requests_go_where_the_fewest_are(
    patient_pair: UpstreamServer, fakes: list[FakeUpstream]
) -> None:
    go = threading.Event()
    fakes[0].plan = Plan(held=go)
    with ThreadPoolExecutor(12) as pool:
        slow = pool.submit(patient_pair.text)
        wait_for(lambda: sum(fake.running for fake in fakes) > 0 or bool(fakes[1].bodies))
        if not fakes[0].running:  # the turn was the other's
            slow = pool.submit(patient_pair.text)
            wait_for(lambda: fakes[0].running > 0)
        before = len(fakes[1].bodies)
        assert [patient_pair.text() for _ in range(5)] == [TEXT] * 5
        assert len(fakes[1].bodies) == before + 5
        go.set()
        assert slow.result() == TEXT


def test_equals_take_turns(pair: UpstreamServer, fakes: list[FakeUpstream]) -> None:
    for _ in range(6):
        pair.text()
    assert [len(fake.bodies) for fake in fakes[:2]] == [3, 3]


FAULTS = {
    "429": Plan(status=429, headers={"Retry-After": "7"}),
    "500": Plan(status=500),
    "502": Plan(status=502, body="<html>bad gateway</html>"),
    "503": Plan(status=503),
    "504": Plan(status=504),
    "redirect": Plan(status=302, headers={"Location": "http://127.0.0.1:1/"}),
    "wrong key": Plan(status=401),
    "dies before the first token": Plan(die_after=0),
    "html": Plan(content_type="text/html", raw=(b"<html>login</html>",)),
    "html as a stream": Plan(raw=(b"<!DOCTYPE html>\n<html>\n",)),
    "error event": Plan(raw=(b'data: {"error": {"message": "dead", "code": 500}}\n\n',)),
    "rubbish": Plan(raw=(b"data: {{{\n\n",)),
    "nothing": Plan(raw=()),
    "half a line": Plan(raw=(b'data: {"choices": [{"delta": {"content": "x',)),
    "a line without end": Plan(raw=(b"data: ",) + (b"x" * 65536,) * 20),
    "done without an answer": Plan(raw=(b"data: [DONE]\n\n",)),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("stream", [False, True])
def test_a_fault_before_the_first_token_costs_another_try_only(
    pair: UpstreamServer, fakes: list[FakeUpstream], fault: str, stream: bool
) -> None:
    fakes[0].plan = FAULTS[fault]
    for _ in range(2):  # one of the two goes to the broken one first
        assert (text_of(pair.chunks()) if stream else pair.text()) == TEXT
    assert len(fakes[0].bodies) in (1, 2)
    assert len(fakes[1].bodies) == 2


def test_a_silent_upstream_is_given_up_for_another(
    pair: UpstreamServer, fakes: list[FakeUpstream]
) -> None:
    fakes[0].plan = Plan(no_head=True)
    frames = [frame for _ in range(2) for frame in pair.frames()]
    assert ": alive" in frames
    assert len(fakes[0].left) in (1, 2)
    assert len(fakes[1].bodies) == 2


def test_a_death_after_three_tokens_ends_in_an_error_and_repeats_nothing(
    pair: UpstreamServer, fakes: list[FakeUpstream]
) -> None:
    for fake in fakes[:2]:
        fake.plan = Plan(die_after=3)
    *chunks, error = pair.chunks()
    assert text_of(chunks) == "One two three"
    assert error["error"]["code"] == "engine_failed"
    assert sum(len(fake.bodies) for fake in fakes) == 1
    whole = pair.chat()
    assert whole.status_code == 502
    assert whole.json()["error"]["code"] == "engine_failed"


@pytest.mark.parametrize(
    "broken",
    [
        Plan(silent_after=2),
        Plan(finish=None, done=False),
        Plan(finish="abort"),
        Plan(raw=(b'data: {"choices":[{"delta":{"content":"x"}}]}\n\n', b"data: {\n\n")),
        Plan(
            raw=(b'data: {"choices":[{"delta":{"content":"x"}}]}\n\n', b'data: {"error":"e"}\n\n')
        ),
    ],
    ids=["silence", "cut", "abort", "rubbish", "error"],
)
def test_what_breaks_in_the_middle_is_never_a_short_answer(
    single: UpstreamServer, fakes: list[FakeUpstream], broken: Plan
) -> None:
    fakes[0].plan = broken
    assert single.chunks()[-1]["error"]["code"] == "engine_failed"
    assert single.chat().status_code in (502, 503)


def test_a_stream_without_done_or_usage_is_whole_and_its_tokens_are_guessed(
    single: UpstreamServer, fakes: list[FakeUpstream], capfd: pytest.CaptureFixture[str]
) -> None:
    fakes[0].plan = Plan(done=False, usage=None)
    body = single.chat().json()
    assert body["choices"][0]["message"]["content"] == TEXT
    assert body["usage"]["completion_tokens"] == len(TEXT) // 4
    assert "upstream.usage_estimated" in capfd.readouterr().out


def test_an_upstream_that_does_not_stream_is_understood(
    single: UpstreamServer, fakes: list[FakeUpstream]
) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {"role": "assistant", "content": "whole", "tool_calls": [call]}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    body = json.dumps({"object": "chat.completion", "choices": [choice]}).encode()
    fakes[0].plan = Plan(content_type="application/json", raw=(body[:20], body[20:]))
    assert single.chat().json()["choices"][0]["message"] == message


@pytest.mark.parametrize("status", [400, 413, 422])
def test_the_clients_own_fault_is_told_and_not_tried_elsewhere(
    pair: UpstreamServer, fakes: list[FakeUpstream], status: int
) -> None:
    message = f"This model's maximum context length is 4096 tokens. See {fakes[0].name}."
    for fake in fakes:
        fake.plan = Plan(status=status, body=json.dumps({"error": {"message": message}}))
    answer = pair.chat(stream=True)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "context_length_exceeded"
    assert "4096 tokens" in answer.json()["error"]["message"]
    assert fakes[0].name not in answer.text or fakes[1].bodies
    assert sum(len(fake.bodies) for fake in fakes) == 1


def test_when_all_are_busy_the_client_gets_a_429_with_retry_after(
    pair: UpstreamServer, fakes: list[FakeUpstream]
) -> None:
    for fake, seconds in zip(fakes, ("9", "4"), strict=False):
        fake.plan = Plan(status=429, headers={"Retry-After": seconds})
    for stream in (False, True):
        answer = pair.chat(stream=stream)
        assert answer.status_code == 429
        assert answer.headers["Retry-After"] == "4"
        assert answer.json()["error"]["code"] == "busy"


@pytest.mark.quiet
def test_when_none_can_be_reached_the_client_gets_a_503_at_once(
    pair: UpstreamServer, fakes: list[FakeUpstream]
) -> None:
    for fake in fakes:
        fake.stop()
    started = time.monotonic()
    answer = pair.chat(stream=True)
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert time.monotonic() - started < 1
    wait_for(lambda: not pair.ready)


def test_more_than_run_and_wait_get_a_429_and_those_that_wait_come_in_order(
    patient_single: UpstreamServer, fakes: list[FakeUpstream]
) -> None:
    gates = [threading.Event() for _ in range(3)]
    fakes[0].next.extend([Plan(held=gates[0]), Plan(held=gates[1])])
    fakes[0].plan = Plan(held=gates[2])
    ended: list[int] = []
    alive: set[int] = set()

    def ask(number: int) -> None:
        body = patient_single.body(stream=True, messages=[{"role": "user", "content": str(number)}])
        with patient_single.http.stream("POST", "/v1/chat/completions", json=body) as answer:
            for line in answer.iter_lines():
                if line == ": alive":
                    alive.add(number)
        ended.append(number)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for count, thread in enumerate(threads, 1):
        thread.start()
        wait_for(lambda count=count: patient_single.in_work == count)  # type: ignore[misc]
        wait_for(lambda count=count: len(fakes[0].bodies) == min(count, 2))  # type: ignore[misc]
    refused = patient_single.chat()
    wait_for(lambda: {2, 3} <= alive)  # those that wait get a sign of life each second
    gates[0].set()
    wait_for(lambda: len(fakes[0].bodies) == 3)
    gates[1].set()
    wait_for(lambda: len(fakes[0].bodies) == 4)
    wait_for(lambda: len(ended) == 2)
    gates[2].set()
    for thread in threads:
        thread.join()
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) > 0
    assert fakes[0].most_running == 2
    assert [body["messages"][0]["content"] for body in fakes[0].bodies] == ["0", "1", "2", "3"]
    assert sorted(ended[:2]) == [0, 1]
    assert patient_single.text() == TEXT


@pytest.mark.quiet
def test_the_deadline_of_the_first_token_counts_waiting_and_tries(
    fakes: list[FakeUpstream], tmp_path: Path
) -> None:
    urls = (fakes[0].url, fakes[1].url)
    with UpstreamServer(tmp_path, *urls, model_upstream_first_token_s=1.5) as server:
        for fake in fakes:
            fake.plan = Plan(silent_after=0)
        started = time.monotonic()
        answer = server.chat()
        assert answer.status_code == 503
        assert time.monotonic() - started < 2.5


@pytest.mark.quiet
def test_a_long_answer_outlives_the_deadline_of_its_first_token(
    fakes: list[FakeUpstream], tmp_path: Path
) -> None:
    with UpstreamServer(tmp_path, fakes[0].url, model_upstream_first_token_s=0.5) as server:
        fakes[0].plan = Plan(pause_s=0.3)
        assert server.text() == TEXT


def test_a_circuit_opens_after_failures_and_closes_when_the_upstream_is_well_again(
    pair: UpstreamServer, fakes: list[FakeUpstream]
) -> None:
    fakes[0].plan = Plan(status=502)
    while pair.circuits[0] == "closed":
        assert pair.text() == TEXT
    wait_for(lambda: pair.circuits[0] == "half open")  # its probes are well
    asked = len(fakes[0].bodies)
    assert asked >= 3
    for _ in range(4):
        assert pair.text() == TEXT
    assert len(fakes[0].bodies) <= asked + 2  # one try at a time, then open again
    fakes[0].plan = Plan()
    wait_for(lambda: pair.circuits[0] == "half open")
    for _ in range(3):
        assert pair.text() == TEXT
    assert pair.circuits == ["closed", "closed"]


@pytest.mark.parametrize("fault", ["gone", "models", "health"])
def test_probes_open_a_circuit_without_any_call(
    pair: UpstreamServer, fakes: list[FakeUpstream], fault: str
) -> None:
    if fault == "gone":
        fakes[0].stop()
    elif fault == "models":
        fakes[0].models_status = 500
    else:
        fakes[0].health = 503
    wait_for(lambda: pair.circuits[0] == "open")
    assert pair.metric("shenqiao_model_upstream_healthy", upstream=fakes[0].name) == 0
    assert pair.text() == TEXT
    assert fakes[0].bodies == []
    if fault == "gone":
        fakes[0].start()
    fakes[0].models_status = fakes[0].health = 200
    wait_for(lambda: pair.circuits[0] == "half open")
    for _ in range(2):
        assert pair.text() == TEXT
    assert pair.circuits[0] == "closed"


def test_an_upstream_that_stops_during_fifty_requests_loses_none_without_a_token(
    fakes: list[FakeUpstream], tmp_path: Path
) -> None:
    go = threading.Event()
    for fake in fakes:
        fake.plan = Plan(held=go, first_s=0.1, pause_s=0.05)
    urls = [fake.url for fake in fakes]
    with UpstreamServer(
        tmp_path, *urls, model_upstream_max_running=60, model_upstream_silence_s=60
    ) as server:
        with ThreadPoolExecutor(50) as pool:
            answers = [pool.submit(server.frames) for _ in range(50)]
            wait_for(lambda: sum(fake.running for fake in fakes) == 50)
            assert fakes[0].running >= 10
            go.set()
            fakes[0].stop()
            ends = [answer.result() for answer in answers]
        whole = [frames for frames in ends if text_frames(frames) == TEXT]
        cut = [frames for frames in ends if "engine_failed" in frames[-2]]
    assert len(whole) + len(cut) == 50
    assert all(text_frames(frames) for frames in cut)  # only those that had a token
    assert len(cut) <= 17


def text_frames(frames: list[str]) -> str:
    datas = [f.removeprefix("data: ") for f in frames if f.startswith("data: {")]
    return text_of([json.loads(data) for data in datas])
