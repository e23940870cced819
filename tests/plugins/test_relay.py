"""The relay of package A: always the tool server's own answer or a 503, in time, and no word of ours."""

import time
from typing import Any

import pytest
from werkzeug import Request, Response
from werkzeug.test import EnvironBuilder

from dify_plugin.relay import relay
from tests.plugins.raw_server import RawServer

MARK = "X-Shenqiao: 1"


def ask(
    url: Any,
    query: str = "nonce=n",
    *,
    method: str = "POST",
    body: bytes = b"<xml/>",
    account: str = "demo",
) -> Response:
    builder = EnvironBuilder("/callback", method=method, data=body, content_type="text/xml")
    environ = {**builder.get_environ(), "QUERY_STRING": query}
    return relay(Request(environ), {"server_url": url, "account": account})


@pytest.mark.parametrize(
    "account", ["", "Demo", "../accounts", "demo/callback?", "demo#", "a" * 65]
)
def test_what_can_be_no_account_is_refused_and_nothing_is_asked(
    server: RawServer, account: str
) -> None:
    answer = ask(server.url, account=account)
    assert (answer.status_code, answer.data, server.heads) == (403, b"", [])


def test_an_answer_that_comes_in_drops_is_given_up_in_time(server: RawServer) -> None:
    server.answers(*[b"x"] * 20, headers=f"{MARK}\r\nContent-Length: 20")
    server.pause_s = 0.4
    started = time.monotonic()
    assert ask(server.url).status_code == 503
    assert 4.5 < time.monotonic() - started < 4.9


def test_many_answers_given_up_leave_the_pool_usable(
    server: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dify_plugin.relay.DEADLINE_S", 0.01)
    server.answers(b"x", b"x", headers=f"{MARK}\r\nContent-Length: 2")
    server.pause_s = 0.05
    assert {ask(server.url).status_code for _ in range(250)} == {503}
    monkeypatch.undo()
    server.pause_s = 0
    assert ask(server.url).status_code == 200


def test_status_body_and_type_are_the_tool_servers(server: RawServer) -> None:
    server.answers(
        "密文".encode(),
        status=202,
        headers=f"{MARK}\r\nContent-Type: application/x; charset=utf-8",
    )
    answer = ask(server.url)
    assert (answer.status_code, answer.data) == (202, "密文".encode())
    assert answer.headers["Content-Type"] == "application/x; charset=utf-8"


@pytest.mark.parametrize(("status", "told"), [(403, 403), (413, 413), (500, 500), (302, 503)])
def test_a_refusal_comes_without_a_body(server: RawServer, status: int, told: int) -> None:
    server.answers("who wrote this?", status=status)
    answer = ask(server.url)
    assert (answer.status_code, answer.data) == (told, b"")


@pytest.mark.parametrize(
    ("query", "sent"),
    [
        ("msg_signature=a%2Bb&echostr=x+y/==%3D&timestamp=1", None),
        ("a=%e4%bd%a0&b=1&&c", None),
        ("a=\xe4\xbd\xa0", "a=%E4%BD%A0"),
        ("a=1#b", "a=1%23b"),
    ],
)
def test_a_query_keeps_its_bytes(server: RawServer, query: str, sent: str | None) -> None:
    server.answers("ok", headers=MARK)
    assert ask(server.url, query, method="GET", body=b"").data == b"ok"
    assert server.heads[0].split(b" ")[1].decode() == f"/channel/demo/callback?{sent or query}"


@pytest.mark.parametrize(
    "broken", [b"", b"not http\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"]
)
def test_a_broken_answer_is_an_empty_503(server: RawServer, broken: bytes) -> None:
    server.says = [broken]
    answer = ask(server.url)
    assert (answer.status_code, answer.data) == (503, b"")


@pytest.mark.parametrize("body", ["", "<h1>nginx</h1>"])
def test_another_servers_answer_is_no_acknowledgement(server: RawServer, body: str) -> None:
    server.answers(body)
    answer = ask(server.url)
    assert (answer.status_code, answer.data) == (503, b"")


def test_an_answer_too_large_for_the_daemon_is_a_503(server: RawServer) -> None:
    server.answers(b"x" * (2 * 1024 * 1024 + 1), headers=MARK)
    assert ask(server.url).status_code == 503


@pytest.mark.parametrize(
    "url",
    ["http://[::1", "ftp://x", "http://", "x", "http://127.0.0.1:99999", "http://\x00", 5, ["a"]],
)
def test_an_impossible_url_is_an_empty_503(url: Any) -> None:
    answer = ask(url)
    assert (answer.status_code, answer.data) == (503, b"")


def test_no_exception_reaches_the_sdk_which_would_show_its_text() -> None:
    class Broken(dict[str, Any]):
        def get(self, *_: Any) -> Any:
            raise ValueError("secret path")

    environ = EnvironBuilder("/callback", method="POST", data=b"x").get_environ()
    answer = relay(Request(environ), Broken())
    assert (answer.status_code, answer.data) == (503, b"")
