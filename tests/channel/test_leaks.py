"""What goes wrong inside stays inside: failures of packages, server, Dify and disk, and what people read of them.

Each row breaks one thing for real (bytes on a socket, files on the disk). What is read must be a sentence meant for its
reader: no text of an exception, no host, no path, nothing of what a broken server said.
"""

import json
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from flask import Flask

from playground.dify.door import endpoint_blueprint
from playground.dify.packages import Packages, Session
from playground.dify.plugin import PluginError
from playground.serving import Server
from playground.wechat.faults import Fault
from playground.wechat.platform import Platform
from tests.channel.conftest import make_account
from tests.channel.desk import Desk
from tests.fakes.dify import FakeDify, Script
from tests.plugins.raw_server import RawServer
from tool_server.app import create_app
from tool_server.auth import Keys
from tool_server.channel.status_codes import make_code
from tool_server.database import Database
from tool_server.settings import Settings

pytestmark = pytest.mark.thorough

ROOT = Path(__file__).parents[2]
HOOK = "abcdefghijklmnop"
CANARY = "CANARY7f3a"
TRACE = (
    f'Traceback (most recent call last):\n  File "/srv/{CANARY}/app.py", line 3, in run\n'
    f"sqlalchemy.exc.OperationalError: db.{CANARY}.corp:5432 refused\n"
)
LEAKS = re.compile(
    rf"{CANARY}|Traceback|File \"|[a-z](?:Error|Exception)\b|127\.0\.0\.1|localhost|:\d{{4,5}}\b"
    r"|/(?:tmp|srv|root|home|usr|var|etc)/|site-packages|\.py\b|nginx|sqlite|SELECT |INSERT |httpx|Errno"
)
SESSION = Session(user="u", app="app-1", conversation="c", message="m")


def assert_clean(text: str) -> None:
    found = LEAKS.search(text)
    assert found is None, f"{found[0]!r} stands in {text[:300]!r}"


# -- the packages, with a tool server that is broken in every way --------------------------------


def _away(server: RawServer) -> None:
    server.__exit__()


def _says(*parts: bytes | str, **more: Any) -> Callable[[RawServer], None]:
    return lambda server: server.answers(*parts, **more)


def _raw(said: bytes) -> Callable[[RawServer], None]:
    def break_it(server: RawServer) -> None:
        server.says = [said]

    return break_it


HTML = f"<html><h1>502 Bad Gateway</h1><hr>nginx/1.25 at db.{CANARY}.corp{TRACE}</html>"
JSON = "Content-Type: application/json"
BROKEN: dict[str, Callable[[RawServer], None]] = {
    "away": _away,
    "says nothing": _raw(b""),
    "is no http": _raw(f"SSH-2.0-{CANARY}\r\n\r\n".encode()),
    "breaks off": _raw(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n" + TRACE.encode()),
    "breaks off in a chunk": _raw(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n" + TRACE.encode()
    ),
    "is no gzip": _says(TRACE, headers="Content-Encoding: gzip"),
    "is a traceback": _says(TRACE, status=500),
    "is a proxy without its server": _says(HTML, status=502, headers="Content-Type: text/html"),
    "is busy": _says(HTML, status=503, headers="Content-Type: text/html\r\nRetry-After: x"),
    "knows nothing here": _says(HTML, status=404, headers="Content-Type: text/html"),
    "forbids": _says(HTML, status=403, headers="Content-Type: text/html"),
    "wants a key": _says(TRACE, status=401),
    "wants less": _says(TRACE, status=429),
    "leads elsewhere": _says("", status=302, headers=f"Location: http://db.{CANARY}.corp:5432/"),
    "is another server": _says(HTML, headers="Content-Type: text/html"),
    "is another json": _says(json.dumps({"detail": TRACE}), headers=JSON),
    "is broken json": _says('{"bases": [' + TRACE, headers=JSON),
    "is too large": _says(b"x" * (6 * 1024 * 1024), headers=JSON),
}


class Door:
    """Both packages under the SDK behind the daemon's door; `server` is what stands for the tool server."""

    def __init__(self, logs: Path) -> None:
        self.packages = Packages(
            ROOT, ROOT / "dify_plugin" / "model_provider", knowledge={}, model={}, logs=logs
        )
        self.form = {"server_url": "", "account": "acc"}
        door = Flask("door", static_folder=None)
        door.register_blueprint(endpoint_blueprint(self.packages.tools, HOOK, self.form))
        self._server = Server(door)
        self.url = f"{self._server.url}/e/{HOOK}"
        self.packages.tools.wait_ready()
        self.packages.model.wait_ready()

    def point(self, url: str) -> None:
        self.form["server_url"] = url
        self.packages._knowledge = self.packages._model = {"server_url": url, "api_key": "sq-k"}

    def callback(self) -> str:
        return _everything(httpx.post(f"{self.url}/callback", content=b"<xml/>", timeout=30))

    def address_check(self) -> str:
        return _everything(httpx.get(f"{self.url}/callback?echostr=x", timeout=30))

    def answer_page(self) -> str:
        return _everything(httpx.get(f"{self.url}/answers/x", timeout=30))

    def login(self) -> str:
        return _everything(httpx.get(f"{self.url}/login?code=x&state=y", timeout=30))

    def status_page(self) -> str:
        """Its advice names the address that means the container itself."""
        return _everything(httpx.get(f"{self.url}/status", timeout=60)).replace("127.0.0.1 指", "")

    def search(self) -> str:
        return self._told(
            lambda: self.packages.invoke_tool("a/b/knowledge", "search", {"query": "q"}, SESSION)
        )

    def model(self) -> str:
        asked = [{"role": "user", "content": "q"}]
        return self._told(
            lambda: self.packages.invoke_model(
                "a/b/private_deepseek", "private-deepseek", asked, {}, SESSION
            )
        )

    def forms(self) -> str:
        return self._told(self._validated)

    def close(self) -> None:
        self._server.close()
        self.packages.stop()

    def _validated(self) -> Iterator[Any]:
        self.packages.validate()
        yield "saved"

    def _told(self, call: Callable[[], Iterator[Any]]) -> str:
        """What Dify shows of a call."""
        try:
            return json.dumps(list(call()))
        except PluginError as error:
            return str(error)


def _everything(answer: httpx.Response) -> str:
    """Body and headers; not those that the door's own server adds."""
    headers = {k: v for k, v in answer.headers.items() if k not in ("server", "date")}
    return f"{answer.text}\n{headers}"


CALLS = ("callback", "address_check", "answer_page", "login", "status_page", "search", "forms")


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    door = Door(tmp_path_factory.mktemp("logs"))
    yield door
    door.close()


@pytest.mark.parametrize("call", [*CALLS, "model"])
@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_tool_server_is_a_sentence_or_nothing(door: Door, broken: str, call: str) -> None:
    with RawServer() as server:
        door.point(server.url)
        BROKEN[broken](server)
        assert_clean(getattr(door, call)())


# -- a person in WeChat, with a Dify that is broken in every way ---------------------------------


def _event(**fields: Any) -> str:
    return f"data: {json.dumps(fields)}\n\n"


SSE = "Content-Type: text/event-stream"
BASE = {"task_id": "t", "message_id": "m", "conversation_id": "c", "id": "m"}
STARTED = _event(event="workflow_started", **BASE, data={})
NODE = _event(
    event="node_finished", **BASE, data={"status": "failed", "error": TRACE, "node_type": "llm"}
)
DIFY: dict[str, Callable[[RawServer], None]] = {
    **{name: BROKEN[name] for name in BROKEN if name != "is too large"},
    "says an error before it begins": _says(_event(event="error", message=TRACE), headers=SSE),
    "says an error in the middle": _says(
        STARTED,
        NODE,
        _event(event="error", **BASE, status=400, code="x", message=TRACE),
        headers=SSE,
    ),
    "fails as a workflow": _says(
        STARTED,
        _event(event="workflow_finished", **BASE, data={"status": "failed", "error": TRACE}),
        headers=SSE,
    ),
    "says no json": _says(STARTED, f"data: {TRACE}\n\n", headers=SSE),
    "says json of another shape": _says(STARTED, f'data: ["{CANARY}"]\n\n', headers=SSE),
    "ends in the middle": _says(STARTED, headers=SSE),
    "refuses the request": _says(
        json.dumps({"code": "invalid_param", "message": TRACE}), status=400, headers=JSON
    ),
    "has no quota": _says(
        json.dumps({"code": "provider_quota_exceeded", "message": TRACE}), status=400, headers=JSON
    ),
}


@pytest.mark.parametrize("broken", DIFY)
def test_a_broken_dify_is_a_sentence_for_the_person(
    settings: Settings, database: Database, dify: FakeDify, platform: Platform, broken: str
) -> None:
    settings = settings.model_copy(update={"channel_attempts": 1})
    with RawServer() as server:
        account = make_account(dify_url=f"{server.url}/v1", agent_id=7)
        DIFY[broken](server)
        desk = Desk(settings, database, dify, platform, account)
        try:
            shown = desk.say("年假有几天？")
        finally:
            desk.close()
    assert shown
    assert all(text.startswith("抱歉") for text in shown)
    assert_clean("\n".join((*shown, *(text for text, _ in desk.screen.seen))))


@pytest.mark.parametrize("call", ["user/get", "media/upload", "gettoken"])
@pytest.mark.parametrize("code", [-1, 40001, 48002, 60020])
def test_a_platform_that_refuses_is_no_words_of_its_own(
    desk: Desk, dify: FakeDify, call: str, code: int
) -> None:
    desk.platform.api.script(Fault(call, "errcode", times=20, code=code))
    dify.default = Script("12 天")
    assert_clean("\n".join(desk.say("年假有几天？")))


# -- the tool server's own callers, with what it stands on broken --------------------------------


@dataclass
class Inside:
    """The whole application in this process, with what it keeps on the disk."""

    app: Flask
    settings: Settings
    key: str
    code: str

    @property
    def file(self) -> Path:
        return Path(self.app.extensions["channel"].database.url.database)

    def ask(self, method: str, path: str, **more: Any) -> str:
        headers = {"Authorization": f"Bearer {self.key}"}
        answer = self.app.test_client().open(path, method=method, headers=headers, **more)
        return f"{answer.get_data(as_text=True)}\n{dict(answer.headers)}"


@pytest.fixture
def inside(settings: Settings, database: Database) -> Iterator[Inside]:
    app = create_app(settings)
    keys = Keys.load(settings)
    app.extensions["channel"].accounts.save("acc", make_account(dify_url="http://dify.corp/v1"))
    yield Inside(app, settings, keys.secret("admin"), make_code(database, 60))
    app.extensions["channel"].close()


def _corrupt(inside: Inside) -> None:
    for file in inside.file.parent.glob(f"{inside.file.name}*"):
        file.write_bytes(CANARY.encode() * 4000)


def _gone(inside: Inside) -> None:
    inside.app.extensions["channel"].database.engine.dispose()
    shutil.rmtree(inside.file.parent)


def _full(inside: Inside) -> None:
    """No page more than there are: SQLite's own "database or disk is full"."""
    database = inside.app.extensions["channel"].database
    with sqlite3.connect(inside.file) as counting:
        (pages,) = counting.execute("PRAGMA page_count").fetchone()
        (free,) = counting.execute("PRAGMA freelist_count").fetchone()
    sa.event.listen(
        database.engine,
        "connect",
        lambda connection, _: connection.execute(f"PRAGMA max_page_count = {pages - free}"),
    )
    database.engine.dispose()


def _other_key(inside: Inside) -> None:
    (inside.settings.data_dir / "secret.key").write_text("A" * 43 + "=")


# The status page tells whoever asks the address by which they came.
OWN = "http://localhost/channel/acc/callback"
STANDS_ON: dict[str, Callable[[Inside], None]] = {
    "the database is no database": _corrupt,
    "the database is gone": _gone,
    "the disk is full": _full,
    "the key of the secrets is another one": _other_key,
}
BIG = {
    **make_account().model_dump(mode="json"),
    "secret": "s" * 20000,
    "token": "t",
    "dify_key": "k",
}
ASKED: dict[str, tuple[str, str, dict[str, Any]]] = {
    "an address check": ("GET", "/channel/acc/callback?msg_signature=a&timestamp=1&nonce=b", {}),
    "a callback": ("POST", "/channel/acc/callback?msg_signature=a&timestamp=1&nonce=b", {}),
    "a page": ("GET", "/channel/answers/x", {}),
    "a sign-in": ("GET", "/channel/login?state=a&code=b", {}),
    "the status": ("POST", "/channel/acc/status", {"data": {"code": "CODE"}}),
    "an account": ("GET", "/channel/accounts/acc", {}),
    "a new account": ("PUT", "/channel/accounts/new", {"json": BIG}),
    "a message": ("GET", "/channel/accounts/acc/messages/1", {}),
}


@pytest.mark.sqlite
@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("broken", STANDS_ON)
def test_a_fault_of_the_tool_server_is_a_sentence_for_its_caller(
    inside: Inside, broken: str, asked: str
) -> None:
    STANDS_ON[broken](inside)
    method, path, more = ASKED[asked]
    if "data" in more:
        more = {"data": {"code": inside.code}}
    assert_clean(inside.ask(method, path, **more).replace(OWN, ""))


BODIES: dict[str, dict[str, Any]] = {
    "no json": {"data": b"{" + TRACE.encode(), "content_type": "application/json"},
    "no utf-8": {"data": b"\xff\xfe{}", "content_type": "application/json"},
    "nested without end": {"data": b"[" * 100000, "content_type": "application/json"},
    "a list": {"json": [TRACE]},
    "another type": {"data": TRACE, "content_type": "multipart/form-data"},
    "too large": {"data": b"x" * (9 * 1024 * 1024), "content_type": "application/json"},
}


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/channel/accounts/new"),
        ("POST", "/channel/acc/callback"),
        ("POST", "/channel/acc/status"),
        ("POST", "/knowledge/search"),
        ("PATCH", "/channel/accounts/acc"),
        ("POST", "/no/such/path"),
    ],
)
def test_a_bad_request_is_answered_with_a_sentence(
    inside: Inside, method: str, path: str, body: str
) -> None:
    assert_clean(inside.ask(method, path, **BODIES[body]).replace(OWN, ""))
