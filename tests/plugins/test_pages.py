"""Pages through an endpoint: what goes on to the tool server, what comes back, and what a wrong form is told."""

from typing import Any

import pytest
from werkzeug import Request, Response
from werkzeug.test import EnvironBuilder

from dify_plugin.pages import rest, status
from tests.plugins.raw_server import RawServer

PAGE = (
    "Content-Type: text/html; charset=utf-8\r\nCache-Control: no-store\r\n"
    "Content-Security-Policy: default-src 'none'\r\n"
    "X-Robots-Tag: noindex\r\nReferrer-Policy: no-referrer\r\nX-Content-Type-Options: nosniff\r\n"
    "Set-Cookie: shenqiao-reader=r; HttpOnly; Path=/e/h; SameSite=Lax\r\nServer: secret-1.2\r\nX-Shenqiao: 1"
)


def request(path: str, method: str = "GET", *, query: str = "", **more: Any) -> Request:
    builder = EnvironBuilder(path, method=method, **more)
    return Request({**builder.get_environ(), "QUERY_STRING": query})


def page(url: Any, path: str, method: str = "GET", **more: Any) -> Response:
    """Any path below an endpoint."""
    asked = request(f"/{path}", method, **more)
    return rest(asked, path, {"server_url": url, "account": "demo"})


def status_of(url: Any, account: Any = "demo", **more: Any) -> Response:
    return status(request("/status", **more), {"server_url": url, "account": account})


def head(server: RawServer) -> dict[str, str]:
    """The headers that the tool server got, and the first line as ``."""
    first, *lines = server.heads[-1].decode().split("\r\n")
    pairs = [line.partition(": ") for line in lines if line]
    return {"": first} | {name.lower(): value for name, _, value in pairs}


def test_an_answers_page_keeps_what_its_headers_say(server: RawServer) -> None:
    server.answers("<p>12</p>", headers=PAGE)
    answer = page(server.url, "answers/sEcret_-1", query="a=%2B")
    assert (answer.status_code, answer.data) == (200, b"<p>12</p>")
    told = {line.partition(": ")[0] for line in PAGE.split("\r\n")}
    assert set(answer.headers.keys()) - {"Content-Length"} == told - {"Server", "X-Shenqiao"}
    assert answer.headers["Set-Cookie"].startswith("shenqiao-reader=r; HttpOnly; Path=/e/h")
    assert head(server)[""] == "GET /channel/answers/sEcret_-1?a=%2B HTTP/1.1"


def test_the_return_from_signing_in_goes_where_the_tool_server_sends_it(server: RawServer) -> None:
    server.answers("", status=302, headers=f"{PAGE}\r\nLocation: answers/x")
    answer = page(server.url, "login", query="code=c&state=s")
    assert (answer.status_code, answer.headers["Location"]) == (302, "answers/x")
    assert head(server)[""] == "GET /channel/login?code=c&state=s HTTP/1.1"


def test_the_browsers_session_with_dify_stays_here(server: RawServer) -> None:
    server.answers("x", headers=PAGE)
    cookies = (
        "access_token=of-dify; shenqiao-reader=a%20b; csrf_token=of-dify; shenqiao-sign-in=c=="
    )
    headers = {"Cookie": cookies, "Authorization": "Bearer of-dify", "Accept-Language": "en"}
    page(server.url, "answers/x", headers=headers)
    got = head(server)
    assert got["cookie"] == "shenqiao-reader=a%20b; shenqiao-sign-in=c=="
    assert "authorization" not in got
    assert got["accept-language"] == "en"


def test_one_browsers_cookie_is_never_sent_for_another(server: RawServer) -> None:
    server.answers("x", headers=PAGE.replace("Path=/e/h", "Path=/"))
    page(server.url, "answers/x")
    page(server.url, "answers/x")
    assert "cookie" not in head(server)


@pytest.mark.parametrize("path", ["WW_verify_abcdefghABCDEFGH.txt"])
def test_the_trusted_domains_file_is_passed_on(server: RawServer, path: str) -> None:
    server.answers("abcdefghABCDEFGH")
    assert page(server.url, path).data == b"abcdefghABCDEFGH"
    assert head(server)[""].startswith(f"GET /{path}")


@pytest.mark.parametrize(
    "path",
    [
        "answers",
        "answers/a/b",
        "answers/../accounts",
        "login/x",
        "knowledge/search",
        "channel/accounts",
        "v1/models",
        "metrics",
        "accounts/demo",
        "WW_verify_../x.txt",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS"])
def test_no_other_path_reaches_the_tool_server(server: RawServer, path: str, method: str) -> None:
    server.answers("x")
    answer = page(server.url, path, method)
    assert (answer.status_code, answer.data) == (404, b"")
    assert server.heads == []


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS"])
def test_a_callback_has_two_methods(server: RawServer, method: str) -> None:
    answer = page(server.url, "callback", method)
    assert (answer.status_code, answer.data) == (404, b"")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_callback_url_entered_with_a_slash_at_its_end_works(
    server: RawServer, method: str
) -> None:
    server.answers("ok", headers=PAGE)
    answer = page(server.url, "callback/", method, query="nonce=n", data=b"<xml/>")
    assert answer.data == b"ok"
    assert head(server)[""] == f"{method} /channel/demo/callback?nonce=n HTTP/1.1"


def test_a_status_page_with_a_slash_at_its_end_leads_to_the_one_without() -> None:
    answer = page("http://127.0.0.1:9", "status/")
    assert (answer.status_code, answer.headers["Location"]) == (302, "../status")


@pytest.mark.parametrize("body", ["<h1>nginx</h1>", ""])
def test_what_does_not_stand_in_the_files_name_is_no_such_file(
    server: RawServer, body: str
) -> None:
    server.answers(body)
    answer = page(server.url, "WW_verify_abcdefghABCDEFGH.txt")
    assert (answer.status_code, answer.data) == (404, b"")


@pytest.mark.parametrize("path", ["answers/x", "login"])
def test_a_page_that_is_not_the_tool_servers_own_is_an_empty_503(
    server: RawServer, path: str
) -> None:
    server.answers("<h1>nginx</h1>")
    answer = page(server.url, path)
    assert (answer.status_code, answer.data) == (503, b"")


@pytest.mark.parametrize("path", ["answers/x", "login"])
def test_a_tool_server_that_is_away_is_an_empty_503(path: str) -> None:
    answer = page("http://127.0.0.1:9", path)
    assert (answer.status_code, answer.data) == (503, b"")


def test_the_status_page_is_the_tool_servers_and_learns_its_own_address(server: RawServer) -> None:
    server.answers("<p>all</p>", headers=PAGE)
    asked = {"Dify-Hook-Url": "https://dify.corp.cn/e/abc/status"}
    answer = status_of(server.url, headers=asked)
    assert (answer.status_code, answer.data) == (200, b"<p>all</p>")
    assert answer.headers["Cache-Control"] == "no-store"
    assert head(server)["x-shenqiao-door"] == "https://dify.corp.cn/e/abc"


def test_a_code_goes_on_and_no_more_than_a_form(server: RawServer) -> None:
    server.answers("<p>all</p>", headers=PAGE)
    form = "application/x-www-form-urlencoded"
    status_of(server.url, method="POST", data=b"code=K7" + b"x" * 9000, content_type=form)
    assert server.bodies[-1].startswith(b"code=K7x")
    assert len(server.bodies[-1]) == 4096
    assert head(server)["content-type"] == form


@pytest.mark.parametrize(
    ("url", "account", "words"),
    [
        ('"http://x:8000"', "demo", "引号"),
        ("“http://x:8000”", "demo", "引号"),
        ("x:8000", "demo", "http://"),
        ("ftp://x", "demo", "http://"),
        ("http://", "demo", "http://"),
        ("http://x:99999", "demo", "http://"),
        ("http://[::1", "demo", "http://"),
        ("http://127.0.0.1:9", "", "缺少账号"),
        ("http://127.0.0.1:9", "  ", "缺少账号"),
        ("http://127.0.0.1:9", "Demo", "小写"),
        ("http://127.0.0.1:9", '"demo"', "引号"),
        ("http://127.0.0.1:9", "../admin", "小写"),
        ("http://127.0.0.1:9", "demo", "没有响应"),
        (5, "demo", "http://"),
        (["a"], None, "引号"),
    ],
)
def test_a_wrong_form_is_explained_without_showing_it(url: Any, account: Any, words: str) -> None:
    answer = status_of(url, account)
    text = answer.get_data(as_text=True)
    assert answer.status_code == 200
    assert words in text
    assert "127.0.0.1:9" not in text
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("path", "words"), [("", "not its WeChat channel: is it another"), ("/v1", "without a path")]
)
@pytest.mark.parametrize(("status_code", "body"), [(200, "<h1>nginx</h1>"), (404, "{}"), (500, "")])
def test_another_server_at_the_url_is_told_apart(
    server: RawServer, path: str, words: str, status_code: int, body: str
) -> None:
    server.answers(body, status=status_code)
    answer = status_of(server.url + path, headers={"Accept-Language": "en-GB"})
    assert words in answer.get_data(as_text=True)
    assert "nginx" not in answer.get_data(as_text=True)


def test_no_exception_reaches_the_sdk_which_would_show_its_text() -> None:
    class Broken(dict[str, Any]):
        def get(self, *_: Any) -> Any:
            raise ValueError("secret path")

    for answer in (
        status(request("/status"), Broken()),
        rest(request("/answers/x"), "answers/x", Broken()),
    ):
        assert (answer.status_code, answer.data) == (503, b"")
