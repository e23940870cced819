"""A thousand requests of somebody who wants to break the server: clear refusals, and the next good one is answered."""

import json
import os
import random
import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from tests.model.conftest import Server

REQUESTS = 1000
FIELDS = (
    *("model", "messages", "stream", "stream_options", "temperature", "top_p", "top_k", "seed"),
    *("max_tokens", "max_completion_tokens", "stop", "tools", "tool_choice", "response_format"),
    *("chat_template_kwargs", "enable_thinking", "thinking", "thinking_budget", "n", "logprobs"),
    *("user", "nonsense", "reasoning_effort", "functions", "logit_bias", "parallel_tool_calls"),
)
RAW = (
    b"",
    b"null",
    b"[]",
    b"42",
    b"{",
    b'{"model": "private-deepseek", "messages": [{"role": "user", "content": "\xff\xfe"}]}',
    b'{"model": "private-deepseek", "messages": [{"role": "user", "content": "\xed\xa0\x80"}]}',
    b"[" * 100_000,
    b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    b'{"model": 1' + b"0" * 10_000 + b"}",
    bytes(range(256)) * 64,
)


def strange(chance: random.Random, depth: int = 0) -> Any:
    """A value that nobody expects."""
    pick = chance.randrange(16 if depth < 3 else 11)
    simple = (
        *(None, True, -1, 0, 10**30, -(2**63), 1e308, float("nan"), float("inf")),
        *("", chance.choice(("\ud800", "\x00", "x" * 5000, "\u202e", "<|end|>", "年" * 100))),
    )
    if pick < len(simple):
        return simple[pick]
    if pick == 11:
        return [strange(chance, depth + 1) for _ in range(chance.randrange(4))]
    if pick == 12:
        return {"role": strange(chance, depth + 1), "content": strange(chance, depth + 1)}
    if pick == 13:
        return {
            "type": chance.choice(("json_schema", "function", "x")),
            "json_schema": strange(chance, depth + 1),
        }
    if pick == 14:
        return [
            {
                "type": "function",
                "function": {"name": "f", "parameters": strange(chance, depth + 1)},
            }
        ]
    return {
        chance.choice(("schema", "name", "function", "enable_thinking", "a")): strange(
            chance, depth + 1
        )
    }


def attack(number: int) -> bytes:
    """One body: garbage, a large prompt, or a good one with one to three strange fields."""
    chance = random.Random(f"{os.environ.get('TEST_SEED', '1')}-{number}")
    if number % 10 == 0:
        return chance.choice(RAW)
    body: dict[str, Any] = {
        "model": "private-deepseek",
        "messages": [{"role": "user", "content": "hello"}],
        "max_tokens": 2,
    }
    if number % 50 == 1:
        body["messages"][0]["content"] = chance.choice("ab 年\n") * 1_000_000
    for name in chance.sample(FIELDS, chance.randrange(1, 4)):
        body[name] = strange(chance)
    return json.dumps(body).encode()


def test_a_thousand_hostile_requests_break_nothing(server: Server) -> None:
    def send(number: int) -> tuple[int, int, str]:
        answer = server.http.post("/v1/chat/completions", content=attack(number))
        return number, answer.status_code, answer.text[:300]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(send, range(REQUESTS)))
    print(Counter(status for _, status, _ in answers))  # noqa: T201  (what came of them)
    assert [answer for answer in answers if answer[1] >= 500] == []
    for _, status, text in answers:
        if 400 <= status < 500:
            error = json.loads(text)["error"]
            assert error["message"]
            assert "Traceback" not in text
    assert "shenqiao_engine_loop_restarts" in server.metrics()
    assert 'shenqiao_engine_loop_restarts{process="engine"} 1' not in server.metrics()
    assert server.chat().status_code == 200


def test_a_connection_that_sends_half_a_request_holds_up_nobody(server: Server) -> None:
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"
    url = httpx.URL(server.url)

    halves = [socket.create_connection((url.host, url.port or 80)) for _ in range(20)]
    for half in halves:
        half.sendall(head)
    assert server.chat().status_code == 200
    for half in halves:
        half.close()
