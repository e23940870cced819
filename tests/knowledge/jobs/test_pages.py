"""Pages: fetched from named hosts only, left alone while unchanged, refused with a reason; a real server answers."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from tool_server.addresses import is_public
from tool_server.errors import BadRequest, Forbidden
from tool_server.knowledge.commands import ingest as command
from tool_server.knowledge.ingest import run_here
from tool_server.knowledge.jobs import pages
from tool_server.knowledge.jobs.job import Item, Request
from tool_server.knowledge.jobs.queue import Jobs, NewItem
from tool_server.knowledge.search import Knowledge, Question, search
from tool_server.settings import Settings


class Site:
    """A web server with pages that a test sets; what it was asked for is kept."""

    def __init__(self) -> None:
        self.pages: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.asked: list[tuple[str, int]] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, headers, body = site.pages.get(self.path, (404, {}, b""))
                etag = headers.get("ETag")
                if etag and self.headers.get("If-None-Match") == etag:
                    status, body = 304, b""
                site.asked.append((self.path, status))
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def url(self, path: str, host: str = "localhost") -> str:
        return f"http://{host}:{self.port}{path}"

    def text(self, path: str, body: bytes, kind: str = "text/plain", **headers: str) -> None:
        self.pages[path] = (200, {"Content-Type": kind, **headers}, body)

    def leads(self, path: str, to: str) -> None:
        self.pages[path] = (302, {"Location": to}, b"")

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.close()


def allowing(knowledge: Knowledge, hosts: str, **changes: object) -> Knowledge:
    changed = knowledge.settings.model_copy(update={"knowledge_url_hosts": hosts, **changes})
    return Knowledge(changed, knowledge.catalogue, knowledge.index)


def fetched(knowledge: Knowledge, *urls: str) -> list[Item]:
    """What became of pages that a job was asked for."""
    jobs = Jobs(knowledge.settings, knowledge.catalogue.database)
    number = jobs.enqueue("kb", "urls", Request(), [NewItem(url, url) for url in urls])
    run_here(knowledge, jobs, number)
    return jobs.items(number)


def test_a_page_is_fetched_and_found_under_its_address(knowledge: Knowledge, site: Site) -> None:
    site.text("/guide.md", b"# Guide\n\n## Leave\nzeppelin days", "text/markdown")
    (item,) = fetched(allowing(knowledge, "localhost"), site.url("/guide.md"))
    assert (item.state, item.reason) == ("indexed", "")
    (passage,) = search(knowledge, Question("zeppelin")).passages
    assert (passage.url, passage.document_title) == (site.url("/guide.md"), "Guide")
    assert passage.source_id == site.url("/guide.md")


def test_a_page_that_has_not_changed_is_not_sent_again(knowledge: Knowledge, site: Site) -> None:
    allowed = allowing(knowledge, "localhost")
    site.text("/a.txt", b"zeppelin", ETag='"1"')
    fetched(allowed, site.url("/a.txt"))
    (item,) = fetched(allowed, site.url("/a.txt"))
    assert (item.state, site.asked) == ("unchanged", [("/a.txt", 200), ("/a.txt", 304)])
    site.text("/a.txt", b"airship", ETag='"2"')
    (item,) = fetched(allowed, site.url("/a.txt"))
    assert item.state == "indexed"
    assert search(knowledge, Question("zeppelin")).passages == ()


def test_a_redirect_is_followed_within_the_named_hosts(knowledge: Knowledge, site: Site) -> None:
    site.text("/b.txt", b"zeppelin")
    site.leads("/a", "/b.txt")
    site.leads("/out", site.url("/b.txt", "127.0.0.1"))
    site.leads("/loop", "/loop")
    urls = (site.url(path) for path in ("/a", "/out", "/loop"))
    first, out, loop = fetched(allowing(knowledge, "localhost"), *urls)
    assert first.state == "indexed"
    assert "'127.0.0.1' is not among those" in out.reason
    assert "more than 5 times" in loop.reason


def test_a_pattern_never_opens_the_own_network(knowledge: Knowledge, site: Site) -> None:
    site.text("/a.txt", b"zeppelin")
    (item,) = fetched(allowing(knowledge, "*"), site.url("/a.txt"))
    assert (item.state, item.reason) == ("refused", "its host 'localhost' has a private address")
    assert site.asked == []


@pytest.mark.parametrize(
    ("status", "kind", "body", "reason"),
    [
        (500, "text/plain", b"x", "its server answers 500"),
        (200, "image/png", b"x", "are not read"),
        (200, "text/plain", b"x" * 3000, "more than 2048 bytes"),
    ],
)
def test_a_page_that_cannot_be_taken_is_refused_with_the_reason(
    knowledge: Knowledge, site: Site, status: int, kind: str, body: bytes, reason: str
) -> None:
    site.pages["/p"] = (status, {"Content-Type": kind}, body)
    allowed = allowing(knowledge, "localhost", knowledge_file_limit=2048)
    (item,) = fetched(allowed, site.url("/p"))
    assert item.state == "refused"
    assert reason in item.reason
    assert not list((knowledge.settings.data_dir / "drafts").iterdir())


def test_a_server_that_is_not_there_is_said(knowledge: Knowledge, site: Site) -> None:
    site.close()
    (item,) = fetched(allowing(knowledge, "localhost"), site.url("/"))
    assert item.reason == "it cannot be fetched: ConnectError"


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("::ffff:127.0.0.1", False),
        ("fe80::1%eth0", False),
    ],
)
def test_a_private_address_is_told_from_a_public_one(address: str, public: bool) -> None:
    assert is_public(address) is public


@pytest.mark.parametrize(
    ("setting", "url", "error"),
    [
        ("", "https://example.org/", Forbidden),
        ("example.org", "https://www.example.org/", Forbidden),
        ("*.example.org", "https://badexample.org/", Forbidden),
        ("*", "ftp://example.org/", BadRequest),
        ("*", "https://user:pass@example.org/", BadRequest),
        ("*", "no address", BadRequest),
    ],
)
def test_an_address_that_may_not_be_fetched_is_refused_at_once(
    settings: Settings, setting: str, url: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        pages.check_url(settings.model_copy(update={"knowledge_url_hosts": setting}), url)


def test_named_hosts_and_patterns_are_allowed(settings: Settings) -> None:
    named = settings.model_copy(update={"knowledge_url_hosts": "wiki.local, *.example.org"})
    assert pages.check_urls(named, ["http://wiki.local/a#b", "http://wiki.local/a"]) == [
        "http://wiki.local/a"
    ]
    assert pages.check_url(named, "https://www.example.org") == "https://www.example.org"


def test_the_command_takes_a_file_of_addresses(
    settings: Settings, site: Site, tmp_path: Path
) -> None:
    site.text("/a.txt", b"zeppelin")
    urls = tmp_path / "urls"
    urls.write_text(f"{site.url('/a.txt')}\n{site.url('/b.txt')}\n")
    environ = {
        "SHENQIAO_DATA_DIR": str(settings.data_dir),
        "SHENQIAO_RUN_DIR": str(settings.run_dir),
        "SHENQIAO_MODEL_ENABLED": "false",
        "SHENQIAO_KNOWLEDGE_URL_HOSTS": "localhost",
    }
    done = CliRunner(env=environ).invoke(command, ["--base", "kb", "--urls", str(urls)])
    assert done.exit_code == 1
    assert done.stdout == "kb: 1 files, 1 documents, 1 new or changed\n"
    assert f"refused {site.url('/b.txt')}: its server answers 404" in done.stderr
