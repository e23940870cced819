"""Fetching from addresses that somebody else named: what may be asked, how much is read, where redirects may lead."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest
from flask import Flask, Response, redirect
from werkzeug.wrappers import Response as AnyResponse

from playground.serving import Server
from tool_server.channel.download import Downloader, DownloadError

LIMIT = 20 * 1024 * 1024


@pytest.fixture
def site() -> Iterator[Server]:
    app = Flask("site")

    @app.get("/ok")
    def ok() -> Response:
        return Response(b"bytes")

    @app.get("/large")
    def large() -> Response:
        return Response((b"x" * 65536 for _ in range(10_000)), mimetype="application/octet-stream")

    @app.get("/whole")
    def whole() -> Response:
        return Response(b"x" * LIMIT)

    @app.get("/slow")
    def slow() -> Response:
        def trickle() -> Iterator[bytes]:
            while True:
                time.sleep(0.05)
                yield b"x" * 1024

        return Response(trickle(), mimetype="application/octet-stream")

    @app.get("/to/<path:target>")
    def to(target: str) -> AnyResponse:
        return redirect(target)

    with Server(app) as server:
        yield server


def of(site: Server, *, timeout_s: float = 10) -> Downloader:
    return Downloader(timeout_s=timeout_s, trusted=[site.url.removeprefix("http://")])


def refused(downloader: Downloader, address: str, limit: int = LIMIT) -> DownloadError:
    with pytest.raises(DownloadError) as caught:
        downloader.get(address, limit=limit)
    downloader.close()
    return caught.value


def test_a_host_of_this_installation_may_be_private_and_plain(site: Server) -> None:
    downloader = of(site)
    assert downloader.get(f"{site.url}/ok", limit=10) == b"bytes"
    downloader.close()


@pytest.mark.parametrize(
    "address",
    [
        "http://example.com/a",
        "ftp://example.com/a",
        "file:///etc/passwd",
        "https://user:secret@example.com/a",
        "https:///a",
        "not an address",
        "",
        "https://example.com/" + "a" * 5000,
    ],
)
def test_what_is_no_good_https_address_is_refused_before_anything_is_asked(address: str) -> None:
    assert not refused(Downloader(timeout_s=1), address).retry


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "10.0.0.1",
        "192.168.1.1",
        "172.16.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[fd00::1]",
        "[fe80::1]",
        "2130706433",
        "0x7f.1",
    ],
)
def test_a_private_address_is_refused_in_every_spelling(host: str) -> None:
    assert "private" in str(refused(Downloader(timeout_s=1), f"https://{host}/a"))


def test_a_name_that_leads_to_this_machine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the network's own name server may say of any name."""
    answer = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_more: answer)
    assert "private" in str(refused(Downloader(timeout_s=1), "https://rebind.example/a"))


def test_a_name_is_looked_up_once_and_that_address_is_connected_to(
    site: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    port = int(site.url.rpartition(":")[2])

    def answer(host: object, *_args: object, **_more: object) -> list[object]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    downloader = Downloader(timeout_s=5, trusted=[f"named.example:{port}"])
    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", answer)
        assert downloader.get(f"http://named.example:{port}/ok", limit=10) == b"bytes"
    downloader.close()
    assert asked.count("named.example") == 1


@pytest.mark.parametrize(
    "target", ["https://127.0.0.1/a", "http://10.0.0.1/a", "file:///etc/passwd"]
)
def test_a_redirect_must_not_lead_inside(site: Server, target: str) -> None:
    refused(of(site), f"{site.url}/to/{target}")


def test_redirects_are_followed_a_few_times_only(site: Server) -> None:
    downloader = of(site)
    assert downloader.get(f"{site.url}/to/{site.url}/ok", limit=10) == b"bytes"
    far = "/to/".join([site.url] * 6)
    assert "more than" in str(refused(downloader, f"{far}/ok"))


def test_a_file_of_exactly_the_limit_comes_and_one_without_end_is_left(site: Server) -> None:
    downloader = of(site)
    assert len(downloader.get(f"{site.url}/whole", limit=LIMIT)) == LIMIT
    error = refused(downloader, f"{site.url}/large")
    assert error.too_large


def test_a_file_that_trickles_is_left_in_time(site: Server) -> None:
    started = time.monotonic()
    error = refused(of(site, timeout_s=0.5), f"{site.url}/slow")
    assert error.retry
    assert time.monotonic() - started < 5


def test_a_server_that_answers_no_file_is_an_error(site: Server) -> None:
    assert not refused(of(site), f"{site.url}/nothing").retry


def test_a_server_that_says_nothing_may_be_asked_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        threading.Thread(target=lambda: server.accept()[0].close(), daemon=True).start()
        downloader = Downloader(timeout_s=5, trusted=[f"127.0.0.1:{port}"])
        assert refused(downloader, f"http://127.0.0.1:{port}/a").retry
