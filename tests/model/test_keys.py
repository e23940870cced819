"""Keys and limits over real HTTP: changed while the server runs, read by OpenAI's client, freed when a client dies."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletion

from playground.processes import environment
from tests.model import tiny
from tests.model.conftest import Server, serving
from tests.waiting import until, wait_for
from tool_server import key_changes, key_file
from tool_server.key_file import Key, digest, new_secret

# An answer that nobody waits for the end of: at some hundred tokens a second it takes half a minute and more.
LONG = 15000
CLIENT = """
import sys, time, httpx
url, key, stream = sys.argv[1:]
body = {"model": "private-deepseek", "messages": [{"role": "user", "content": "the fox"}],
        "max_tokens": 15000, "temperature": 0, "stream": stream == "stream"}
headers = {"Authorization": f"Bearer {key}"}
print("sent", flush=True)
with httpx.Client(headers=headers, timeout=100, trust_env=False) as http:
    while True:
        with http.stream("POST", url, json=body) as answer:
            if answer.status_code == 200:
                for line in answer.iter_lines():
                    print(line, flush=True)
        time.sleep(0.02)  # somebody else had the place
"""


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Office"]:
    checkpoint = tiny.make(tmp_path_factory.mktemp("long"), positions=16384)
    settings = {
        "SHENQIAO_MODEL_MAX_RUNNING": "4",
        "SHENQIAO_MODEL_MAX_QUEUED": "0",
        "SHENQIAO_MODEL_PAGES": "1600",
        "SHENQIAO_MODEL_MAX_TOKENS": str(LONG),
    }
    with serving(tmp_path_factory.mktemp("keys"), checkpoint, **settings) as server:
        yield Office(server)


class Office:
    """A running server and the file of its keys."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.path = server.folder / "data" / "keys.json"

    def add(self, name: str, **fields: Any) -> str:
        """A new key that works already; its secret."""
        secret = new_secret()
        new = Key(name=name, sha256=digest(secret), **{"scopes": ("model",), **fields})
        key_file.edit(self.path, lambda keys: key_changes.add(keys, new))
        wait_for(lambda: self.models(secret).status_code != 401)
        return secret

    def command(self, *arguments: str) -> str:
        environ = environment(SHENQIAO_DATA_DIR=str(self.path.parent))
        command = [sys.executable, "-m", "tool_server", "key", *arguments]
        return subprocess.run(
            command, env=environ, capture_output=True, text=True, check=True, timeout=60
        ).stdout.strip()

    def models(self, secret: str) -> httpx.Response:
        return httpx.get(f"{self.server.url}/v1/models", headers=bearer(secret), trust_env=False)

    def chat(self, secret: str, **body: object) -> httpx.Response:
        url = f"{self.server.url}/v1/chat/completions"
        asked = self.server.body(**{"max_tokens": 2, **body})
        return httpx.post(url, json=asked, headers=bearer(secret), trust_env=False, timeout=60)

    def ask(self, secret: str) -> ChatCompletion:
        """The same through OpenAI's own client; raises its errors."""
        url = f"{self.server.url}/v1"
        with openai.OpenAI(api_key=secret, base_url=url, max_retries=0) as client:
            return client.chat.completions.create(
                model="private-deepseek", messages=[{"role": "user", "content": "x"}], max_tokens=2
            )

    def die_while_answered(self, secret: str, how: str) -> None:
        """A client process that is killed when its answer is on its way."""
        url = f"{self.server.url}/v1/chat/completions"
        command = [sys.executable, "-c", CLIENT, url, secret, how]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"sent\n"
            if how == "stream":
                while b"content" not in process.stdout.readline():
                    assert process.poll() is None
            wait_for(lambda: self.chat(secret).status_code == 429)
            made = (
                self.server.made_tokens()
            )  # nobody else asks any more: the next are of this answer
            wait_for(lambda: self.server.made_tokens() > made)
            process.kill()

    def count(self, line: str) -> float:
        """The value of one line of the metrics page; 0 where it is not there yet."""
        return self.server.metric(line)


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def test_openais_client_knows_each_refusal_by_its_class(office: Office) -> None:
    with pytest.raises(openai.AuthenticationError) as unknown:
        office.ask("sq-wrong")
    assert unknown.value.code == "unauthorized"
    with pytest.raises(openai.PermissionDeniedError) as scope:
        office.ask(office.add("other-scope", scopes=("knowledge",)))
    assert scope.value.code == "forbidden"
    with pytest.raises(openai.PermissionDeniedError) as model:
        office.ask(office.add("other-model", models=("private-embedding",)))
    assert (model.value.code, model.value.param) == ("model_not_allowed", "model")
    limited = office.add("once", requests_per_minute=1)
    assert office.ask(limited).choices
    with pytest.raises(openai.RateLimitError, match="requests_per_minute") as rate:
        office.ask(limited)
    assert (rate.value.code, rate.value.type) == ("rate_limit_exceeded", "rate_limit_error")
    headers = rate.value.response.headers
    assert 50 <= int(headers["retry-after"]) <= 61
    assert headers["x-ratelimit-remaining-requests"] == "0"


def test_a_full_engine_is_another_429_than_a_key_that_is_used_up(office: Office) -> None:
    secret = office.add("many")
    url = f"{office.server.url}/v1/chat/completions"
    body = office.server.body(stream=True, max_tokens=LONG)
    with httpx.Client(trust_env=False, headers=bearer(secret), timeout=60) as http:
        streams = [http.stream("POST", url, json=body) for _ in range(4)]
        answers = [stream.__enter__() for stream in streams]
        assert [answer.status_code for answer in answers] == [200] * 4
        with pytest.raises(openai.RateLimitError) as busy:
            office.ask(secret)
        for stream in streams:
            stream.__exit__(None, None, None)
    assert busy.value.code == "busy"
    wait_for(lambda: office.chat(secret).status_code == 200)


def test_only_the_models_of_the_allow_list_are_listed(office: Office) -> None:
    some = office.add("some-models", models=("private-embedding",))
    all_of_them = office.add("listed", models=("private-deepseek", "private-embedding"))
    assert office.models(some).json()["data"] == []
    assert [model["id"] for model in office.models(all_of_them).json()["data"]] == [
        "private-deepseek"
    ]


def test_answers_carry_what_is_left_and_tokens_are_charged_as_used(office: Office) -> None:
    secret = office.add("counted", requests_per_minute=10, tokens_per_minute=50000)
    for stream in (False, True):
        answer = office.chat(secret, max_tokens=9, stream=stream)
        assert answer.headers["x-ratelimit-limit-requests"] == "10"
        assert answer.headers["x-ratelimit-remaining-requests"] == str(9 - stream)
        assert answer.headers["x-ratelimit-reset-requests"].endswith("s")
    usage = office.chat(secret, max_tokens=9).json()["usage"]
    headers = office.models(secret).headers
    assert headers["x-ratelimit-remaining-tokens"] == str(50000 - 3 * usage["total_tokens"])
    counted = office.count('shenqiao_key_tokens_total{key="counted"}')
    assert counted == 3 * usage["total_tokens"]
    assert office.count('shenqiao_key_requests_total{key="counted",scope="model"}') >= 4
    free = office.add("free")
    assert not [name for name in office.chat(free).headers if name.startswith("x-ratelimit")]


def test_tokens_per_minute_refuse_with_the_time_to_wait(office: Office) -> None:
    secret = office.add("few-tokens", tokens_per_minute=100)
    assert office.chat(secret, max_tokens=90).status_code == 200
    error = office.chat(secret, max_tokens=90)
    assert (error.status_code, error.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert "tokens_per_minute" in error.json()["error"]["message"]
    assert 50 <= int(error.headers["retry-after"]) <= 61
    labels = '{key="few-tokens",limit="tokens_per_minute"}'
    assert office.count(f"shenqiao_key_limited_total{labels}") == 1


@pytest.mark.parametrize("how", ["stream", "whole"])
def test_a_client_that_is_killed_gives_its_place_back(office: Office, how: str) -> None:
    secret = office.add(f"killed-{how}", max_running=1)
    before = len(office.server.log_events("model.finished"))
    office.die_while_answered(secret, how)
    wait_for(lambda: office.chat(secret).status_code == 200)
    events = office.server.log_events

    def found() -> list[dict[str, object]]:
        return [e for e in events("model.finished")[before:] if e["reason"] == "cancelled"]

    cancelled = until(found)
    assert len(cancelled) == 1
    charged = office.count(f'shenqiao_key_tokens_total{{key="killed-{how}"}}')
    assert charged >= int(str(cancelled[0]["completion_tokens"])) > 0


def test_a_rotation_under_load_with_grace_is_felt_by_nobody(office: Office) -> None:
    old = office.add("app")
    answers: list[int] = []
    stopped = threading.Event()

    def load() -> None:
        with httpx.Client(base_url=office.server.url, headers=bearer(old), trust_env=False) as http:
            while not stopped.is_set():
                body = office.server.body(max_tokens=2, stream=bool(len(answers) % 2))
                answers.append(http.post("/v1/chat/completions", json=body).status_code)

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    fresh = office.command("rotate", "app", "--grace", "1")
    wait_for(lambda: office.models(fresh).status_code == 200)
    after = len(answers)
    wait_for(lambda: len(answers) > after + 20)
    stopped.set()
    for thread in threads:
        thread.join()
    assert set(answers) == {200}
    newest = office.command("rotate", "app")
    wait_for(lambda: office.models(old).status_code == 401)
    assert office.models(fresh).status_code == 401
    assert office.models(newest).status_code == 200


def test_a_key_is_disabled_and_enabled_while_the_server_runs(office: Office) -> None:
    secret = office.add("switched")
    office.command("disable", "switched")
    wait_for(lambda: office.chat(secret).status_code == 401)
    assert "disabled" in office.chat(secret).json()["error"]["message"]
    office.command("enable", "switched")
    wait_for(lambda: office.chat(secret).status_code == 200)
    lines = office.command("list").splitlines()
    assert [line.split()[3] for line in lines if line.startswith("switched")] != ["unknown"]


def test_a_broken_file_changes_nothing_until_it_is_repaired(office: Office) -> None:
    secret = office.add("steady")
    good = office.path.read_bytes()
    faults = office.count("shenqiao_key_file_faults_total")
    office.path.write_bytes(good[:-20])

    def told() -> bool:
        assert office.models(secret).status_code == 200
        return office.count("shenqiao_key_file_faults_total") == faults + 1

    wait_for(told)
    time.sleep(1.2)
    assert told()
    office.path.write_bytes(good)
    assert office.chat(office.add("after-repair")).status_code == 200
    assert len(office.server.log_events("keys.unreadable")) == 1


def test_the_server_writes_no_secret_into_its_log(office: Office) -> None:
    secret = office.add("quiet", requests_per_minute=1)
    office.chat(secret)
    office.chat(secret)
    assert secret not in (office.server.folder / "log").read_text()
