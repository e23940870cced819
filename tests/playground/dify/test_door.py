"""The daemon's rules, each with a package that breaks them or shows what came: sessions, limits, headers, errors."""

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest
from flask import Flask

from playground.dify.door import endpoint_blueprint
from playground.dify.plugin import Plugin, Rules
from playground.serving import Server
from tests.waiting import wait_for

HOOK = "abcdefghijklmnop"
MANIFEST = """
version: 0.0.1
type: plugin
author: tester
name: breaker
label: {en_US: b}
description: {en_US: b}
icon: icon.svg
resource: {memory: 1048576, permission: {endpoint: {enabled: true}, app: {enabled: true}}}
plugins: {endpoints: [group.yaml]}
meta: {version: 0.0.1, arch: [amd64], runner: {language: python, version: "3.12", entrypoint: main}}
created_at: 2026-01-01T00:00:00Z
"""
MAIN = """
from dify_plugin import DifyPluginEnv, Plugin
plugin = Plugin(DifyPluginEnv(HEARTBEAT_INTERVAL=0.1))
if __name__ == "__main__":
    plugin.run()
"""
GROUP = """
settings: []
endpoints: [show.yaml, do.yaml]
"""
DO = """
import json, threading, time
from werkzeug import Response
from dify_plugin import Endpoint

class Do(Endpoint):
    def _invoke(self, r, values, settings):
        return getattr(self, values["what"])(r)

    def show(self, r):
        said = {"method": r.method, "path": r.path, "query": r.query_string.decode(), "url": r.headers["Dify-Hook-Url"],
                "headers": dict(r.headers), "body": len(r.get_data())}
        return Response(json.dumps(said), content_type="application/json")

    def value_error(self, r):
        raise ValueError("the text of a value error")

    def other_error(self, r):
        raise RuntimeError("the text of another error")

    def cookies(self, r):
        response = Response("ok")
        response.set_cookie("one", "1")
        response.set_cookie("two", "2")
        return response

    def stream(self, r):
        def body():
            yield b"first "
            time.sleep(1)
            yield b"second"
        return Response(body())

    def broken(self, r):
        def body():
            yield b"first "
            raise RuntimeError("in the middle")
        return Response(body())

    def burst(self, r):
        def body():
            for _ in range(5000):
                yield b"x" * 4000
            open(r.args["log"], "w").close()
        return Response(body())

    def long(self, r):
        return Response(b"x" * int(r.args["bytes"]))

    def hold(self, r):
        import ctypes
        ctypes.PyDLL(None).usleep(int(float(r.args["s"]) * 1e6))  # with the interpreter's lock held
        return Response("held")

    def ask(self, r):
        return Response(self.call())

    def ask_after(self, r):
        threading.Thread(target=self.noted, args=(r.args["log"],)).start()
        time.sleep(0.3)
        return Response("at once")

    def ask_long(self, r):
        self.noted(r.args["log"])
        return Response("never seen")

    def noted(self, path):
        try:
            text = self.call()
        except Exception as error:
            text = "error: " + str(error)
        with open(path, "a") as file:
            file.write(text)

    def call(self):
        answer = self.session.app.workflow.invoke(app_id="app", inputs={}, response_mode="blocking")
        return json.dumps(answer)
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("package")
    (root / "_assets").mkdir()
    (root / "_assets" / "icon.svg").write_text("<svg/>")
    (root / "manifest.yaml").write_text(MANIFEST)
    (root / "main.py").write_text(MAIN)
    (root / "group.yaml").write_text(GROUP)
    (root / "do.py").write_text(DO)
    source = "extra: {python: {source: do.py}}\n"
    (root / "do.yaml").write_text("path: /<what>\nmethod: GET\n" + source)
    (root / "show.yaml").write_text("path: /<what>\nmethod: POST\n" + source)
    return root


class Host:
    """A package behind the door, with a Dify that takes as long as `dify_s`."""

    def __init__(self, package: Path, logs: Path, rules: Rules) -> None:
        self.dify_s = 0.0
        self.together = threading.Barrier(1)  # so many calls of Dify have to be there at once
        self.asked = threading.Event()
        self.plugin = Plugin(package, logs / "package.log", rules=rules, reverse=self._reverse)
        self.plugin.wait_ready()
        app = Flask("door", static_folder=None)
        app.register_blueprint(endpoint_blueprint(self.plugin, HOOK, {}))
        self._server = Server(app)
        self.url = f"{self._server.url}/e/{HOOK}"

    def _reverse(self, kind: str, request: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        self.asked.set()
        self.together.wait(60)
        time.sleep(self.dify_s)
        yield {"kind": kind, "app": request["app_id"]}

    def get(self, path: str, **more: Any) -> httpx.Response:
        return httpx.get(f"{self.url}/{path}", timeout=60, trust_env=False, **more)

    def close(self) -> None:
        self._server.close()
        self.plugin.stop()


@pytest.fixture(scope="module")
def started(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    host = Host(package, tmp_path_factory.mktemp("logs"), Rules())
    yield host
    host.close()


@pytest.fixture
def host(started: Host) -> Host:
    started.dify_s = 0.0
    started.together = threading.Barrier(1)
    started.asked.clear()
    started.plugin.wait_ready()
    return started


def raw(host: Host, head: str, body: bytes = b"") -> tuple[int, bytes]:
    """A request byte by byte, and what came back."""
    at = urlsplit(host.url)
    with socket.create_connection((str(at.hostname), int(at.port or 0)), timeout=30) as connection:
        lines = head.replace("HOOK", f"/e/{HOOK}").split("\n")
        connection.sendall("\r\n".join([*lines, "Host: x", "", ""]).encode() + body)
        response = http.client.HTTPResponse(connection)
        response.begin()
        return response.status, response.read()


def test_a_package_learns_its_public_address_with_the_path(host: Host) -> None:
    said = host.get("show").json()
    assert (said["url"], said["path"]) == (f"{host.url}/show", "/show")
    assert said["headers"]["Dify-Hook-Id"] == HOOK
    assert (
        host.get("show", headers={"X-Forwarded-Proto": "https"})
        .json()["url"]
        .startswith("https://")
    )


def test_the_address_is_what_a_caller_says_it_is(host: Host) -> None:
    said = host.get("show", headers={"Dify-Hook-Url": "https://evil.example/e/x"}).json()
    assert said["url"] == "https://evil.example/e/x"


def test_where_a_request_came_from_is_not_told(host: Host) -> None:
    names = ("X-Forwarded-For", "X-Real-IP", "X-Forwarded", "X-Original-Url")
    said = host.get("show", headers=dict.fromkeys(names, "1.2.3.4")).json()
    assert "1.2.3.4" not in json.dumps(said)


def test_a_query_comes_in_the_order_of_its_names(host: Host) -> None:
    assert host.get("show?b=2&a=x%2By&a=1&c=").json()["query"] == "a=x%2By&a=1&b=2&c="


def test_a_body_is_cut_at_ten_megabytes_without_a_word(host: Host) -> None:
    answer = httpx.post(f"{host.url}/show", content=b"x" * (10 * 1024 * 1024 + 5), timeout=60)
    assert (answer.status_code, answer.json()["body"]) == (200, 10 * 1024 * 1024)


def test_a_method_that_the_daemon_does_not_know_is_not_found(host: Host) -> None:
    assert httpx.patch(f"{host.url}/show", timeout=60).status_code == 404


@pytest.mark.parametrize("path", ["no/such", "show/", ""])
def test_an_unknown_path_is_a_404_with_the_sdks_text(host: Host, path: str) -> None:
    answer = host.get(path)
    assert answer.status_code == 404
    assert answer.text.startswith("Failed to dispatch endpoint request")


def test_a_method_without_an_endpoint_is_a_404(host: Host) -> None:
    assert httpx.put(f"{host.url}/show", timeout=60).status_code == 404


def test_an_unknown_hook_is_a_404_in_the_daemons_shape(host: Host) -> None:
    answer = httpx.get(host.url.replace(HOOK, "ponmlkjihgfedcba") + "/show", timeout=60)
    assert answer.status_code == 404
    assert answer.json() == {"code": -400, "message": "endpoint not found", "data": None}


def test_a_header_name_with_an_underscore_is_a_500_with_the_traceback(host: Host) -> None:
    status, body = raw(host, "GET HOOK/show HTTP/1.1\nx_y: 1")
    assert status == 500
    assert "Traceback" in json.loads(json.loads(body)["message"])["args"]["traceback"]


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("value_error", 404, "the text of a value error"),
        ("other_error", 500, "Internal Server Error: the text of another error"),
    ],
)
def test_an_exception_in_the_package_is_shown_to_the_caller(
    host: Host, path: str, status: int, text: str
) -> None:
    answer = host.get(path)
    assert (answer.status_code, answer.text) == (status, text)


def test_of_several_cookies_one_survives(host: Host) -> None:
    assert len(host.get("cookies").headers.get_list("Set-Cookie")) == 1


def test_chunks_go_out_as_they_come(host: Host) -> None:
    with httpx.stream("GET", f"{host.url}/stream", timeout=60) as answer:
        parts = answer.iter_bytes()
        first, started = next(parts), time.monotonic()
        assert (first, b"".join(parts)) == (b"first ", b"second")
        assert time.monotonic() - started > 0.5


def test_an_error_after_the_first_chunk_is_written_into_the_body(host: Host) -> None:
    answer = host.get("broken")
    assert (answer.status_code, answer.text[:6]) == (200, "first ")
    assert "in the middle" in answer.text


def test_a_burst_that_its_reader_cannot_follow_loses_chunks(host: Host, tmp_path: Path) -> None:
    """Twenty megabytes do not fit between a reader that has stopped and the package."""
    said = tmp_path / "all"
    query = {"log": str(said)}
    with httpx.stream("GET", f"{host.url}/burst", params=query, timeout=60) as answer:
        parts = answer.iter_raw()
        size = len(next(parts))
        wait_for(said.exists)
        size += sum(map(len, parts))
    assert answer.status_code == 200
    assert size < 5000 * 4000


def test_a_line_over_five_megabytes_ends_the_process_and_its_caller_is_not_told(host: Host) -> None:
    before = host.plugin.pid
    assert len(host.get("long?bytes=2400000").content) == 2400000
    assert host.plugin.pid == before
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(f"{host.url}/long?bytes=2700000", timeout=3)
    wait_for(lambda: host.plugin.pid not in (before, None))
    host.plugin.wait_ready()
    assert host.get("show").status_code == 200


def test_a_package_asks_dify_while_its_session_lives(host: Host) -> None:
    assert host.get("ask").json() == {"kind": "app", "app": "app"}


def test_what_is_asked_before_the_answer_and_ends_after_it_is_cancelled(
    host: Host, tmp_path: Path
) -> None:
    host.dify_s = 30
    log = tmp_path / "log"
    assert host.get("ask_after", params={"log": str(log)}).text == "at once"
    wait_for(lambda: log.exists() and log.read_text())
    assert log.read_text() == "error: context canceled"


def test_a_client_that_leaves_ends_the_session(host: Host, tmp_path: Path) -> None:
    host.dify_s = 60
    log = tmp_path / "log"
    at = urlsplit(host.url)
    with socket.create_connection((str(at.hostname), int(at.port or 0))) as leaving:
        target = f"{at.path}/ask_long?log={quote(str(log))}"
        leaving.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert host.asked.wait(60)
    wait_for(lambda: log.exists() and log.read_text())
    assert log.read_text() == "error: context canceled"


def test_a_message_of_a_session_that_has_ended_is_lost(host: Host) -> None:
    host.plugin._take(b'{"event": "session", "session_id": "gone", "data": {"type": "end"}}')
    assert host.get("show").status_code == 200


def test_all_requests_are_in_one_process_at_once(host: Host) -> None:
    """Dify answers none of them before all have asked."""
    host.together, answers = threading.Barrier(8), []
    threads = [
        threading.Thread(target=lambda: answers.append(host.get("ask").status_code))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 8


@pytest.mark.thorough
def test_a_process_without_heartbeat_is_ended_and_started_again(
    package: Path, tmp_path: Path
) -> None:
    host = Host(package, tmp_path, Rules(silence_s=2.0, look_s=0.2))
    try:
        before = host.plugin.pid
        with pytest.raises(httpx.ReadTimeout):
            httpx.get(f"{host.url}/hold?s=30", timeout=4)
        wait_for(lambda: host.plugin.pid not in (before, None))
        host.plugin.wait_ready()
        assert host.get("show").status_code == 200
    finally:
        host.close()


@pytest.mark.thorough
def test_an_answer_that_takes_too_long_ends_with_the_daemons_words(
    package: Path, tmp_path: Path
) -> None:
    host = Host(package, tmp_path, Rules(execution_s=0.5))
    try:
        said = host.get("stream").text.removeprefix("first ")
        assert json.loads(said) == {"code": -500, "message": "killed by timeout", "data": None}
    finally:
        host.close()
