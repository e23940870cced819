"""The engine's hazards, each brought about on purpose: it keeps serving."""

import json
import os
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from tests.model.conftest import Server
from tests.waiting import wait_for
from tool_server.model.wire import Cancel, Hello, Refused, Step, Submit, decode, encode, read


def greedy(checkpoint: Path, prompt: list[int], tokens: int) -> list[int]:
    model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
    with torch.inference_mode():
        output = model.generate(
            torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
            max_new_tokens=tokens,
            do_sample=False,
        )
    return list(output[0, len(prompt) :].tolist())


class Raw:
    """A client of the engine's socket that says what it likes."""

    def __init__(self, server: Server) -> None:
        self.peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.peer.connect(str(server.folder / "r" / "engine.sock"))
        self.peer.settimeout(30)
        self.messages = read(self.peer)
        self.hello = next(self.messages)

    def submit(
        self, name: str, prompt: list[int], tokens: int = 16, temperature: float = 0
    ) -> None:
        self.peer.sendall(encode(Submit(name, prompt, tokens, temperature, 1.0)))

    def finish(self, count: int) -> dict[str, list[int]]:
        """All tokens of `count` requests, once they have ended."""
        tokens: dict[str, list[int]] = {}
        for message in self.messages:
            if isinstance(message, Step):
                for name, new in message.tokens.items():
                    tokens.setdefault(name, []).extend(new)
                count -= len(message.finished)
                assert all(end.reason != "error" for end in message.finished.values())
            if count == 0:
                break
        return tokens

    def close(self) -> None:
        self.peer.close()


def test_batches_of_mixed_lengths_give_what_generate_gives(
    server: Server, checkpoint: Path
) -> None:
    tokenizer = Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
    texts = ["word " * n + "年假有几天" for n in (0, 1, 3, 9)]
    prompts = {f"r{n}": tokenizer.encode(text).ids for n, text in enumerate(texts)}
    raw = Raw(server)
    for name, prompt in prompts.items():
        raw.submit(name, prompt)
    answers = raw.finish(len(prompts))
    raw.close()
    assert answers == {name: greedy(checkpoint, p, 16) for name, p in prompts.items()}


def test_the_vocabulary_is_the_one_that_the_web_process_reads(
    server: Server, checkpoint: Path
) -> None:
    fast = PreTrainedTokenizerFast(tokenizer_file=str(checkpoint / "tokenizer.json"))
    own = Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
    probe = "The 12 days 年假 of Zürich\n"
    assert fast.encode(probe) == own.encode(probe).ids
    raw = Raw(server)
    assert isinstance(raw.hello, Hello)
    assert raw.hello.vocabulary == own.get_vocab_size()
    raw.close()


@pytest.mark.parametrize(
    ("prompt", "tokens"), [([1] * 2100, 1), ([1] * 10, 2010), ([], 5), ([99999], 5), ([1], 0)]
)
def test_what_would_kill_the_loop_is_refused(
    server: Server, prompt: list[int], tokens: int
) -> None:
    raw = Raw(server)
    raw.submit("bad", prompt, tokens)
    refused = next(raw.messages)
    raw.close()
    assert isinstance(refused, Refused)
    assert refused.code == "too_long"
    assert server.chat().status_code == 200


def test_rubbish_on_the_socket_ends_that_connection_only(server: Server) -> None:
    raw = Raw(server)
    raw.peer.sendall(b'{"kind": "Hello"}\nrubbish\n')
    assert list(raw.messages) == []
    raw.close()
    assert server.chat().status_code == 200


def test_one_id_twice_does_not_end_the_engine(server: Server) -> None:
    raw = Raw(server)
    raw.submit("same", [7, 8, 9], 200)
    raw.submit("same", [7, 8, 9], 200)
    time.sleep(0.3)
    raw.close()
    assert server.chat().status_code == 200


def test_a_full_engine_answers_429_at_once_with_retry_after(server: Server) -> None:
    with ThreadPoolExecutor(12) as pool:
        started = time.monotonic()
        answers = list(pool.map(lambda _: server.chat(max_tokens=300), range(12)))
        seconds = time.monotonic() - started
    codes = [answer.status_code for answer in answers]
    assert codes.count(200) >= 6
    assert 429 in codes, f"{codes} in {seconds:.1f} s"
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert int(refused.headers["Retry-After"]) > 0
    assert refused.json()["error"]["code"] == "busy"


@pytest.mark.quiet
@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_frees_its_place_within_two_seconds(
    server: Server, stream: bool
) -> None:
    before, made = len(server.log_events("model.finished")), server.made_tokens()
    client = httpx.Client(base_url=server.url, headers=server.http.headers, trust_env=False)
    request = client.build_request(
        "POST", "/v1/chat/completions", json=server.body(max_tokens=1900, stream=stream)
    )
    left = threading.Event()

    def leave() -> None:
        try:
            client.send(request, stream=True) if stream else client.send(request)
        except httpx.HTTPError:
            left.set()

    reader = threading.Thread(target=leave)
    reader.start()
    wait_for(lambda: server.made_tokens() > made)
    for connection in client._transport._pool.connections:  # type: ignore[attr-defined]
        connection._connection._network_stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
    reader.join()
    client.close()
    wait_for(lambda: len(server.log_events("model.finished")) > before, timeout_s=2)
    assert server.log_events("model.finished")[-1]["reason"] in ("cancelled", "length")


def test_a_dead_engine_costs_a_503_and_comes_back_by_itself(server: Server) -> None:
    slow, made = server.body(max_tokens=1900, stream=True), server.made_tokens()
    texts: list[str] = []
    reader = threading.Thread(
        target=lambda: texts.append(server.http.post("/v1/chat/completions", json=slow).text)
    )
    reader.start()
    wait_for(lambda: server.made_tokens() > made)
    os.kill(server.engine_pid(), signal.SIGKILL)
    reader.join()
    assert "error" in json.loads(texts[0].split("data: ")[-2]) or "finish_reason" in texts[0]
    away = server.chat()
    assert away.status_code == 503
    assert away.json()["error"]["code"] == "unavailable"
    wait_for(lambda: server.chat().status_code == 200, timeout_s=90)


def test_messages_cross_the_border_unchanged() -> None:
    message = Submit("a", [1, 2], 3, 0.5, 0.9)
    assert decode(encode(message)) == message
    assert decode(encode(Cancel("a"))) == Cancel("a")
