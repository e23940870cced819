"""The status page: what a stranger sees, what a code opens, and what it says of an account that is not ready yet."""

import itertools
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from flask import Flask, Response, jsonify

from playground.serving import Server
from playground.wechat.platform import Platform
from tests.channel.conftest import make_account
from tests.channel.wecom import calls, serve_platform
from tool_server.app import create_app
from tool_server.auth import Keys
from tool_server.channel.account import Account, WeComBotSocket, parse_account
from tool_server.channel.account_commands import account as account_commands
from tool_server.channel.doctor import examine
from tool_server.channel.services import Services
from tool_server.channel.status import Item, Reports
from tool_server.channel.status_codes import is_code, make_code
from tool_server.channel.status_html import Shown, render
from tool_server.channel.status_words import TITLES
from tool_server.channel.surface import Incoming
from tool_server.heartbeats import Heartbeat
from tool_server.settings import Settings

NUMBERS = itertools.count()
PARAMETERS: dict[str, Any] = {
    "user_input_form": [{"text-input": {"variable": "ticket"}}],
    "file_upload": {"enabled": True},
}


@dataclass
class Site:
    """A tool server at an address, its account `acc`, and the platform and the Dify beside it."""

    url: str
    settings: Settings
    channel: Services
    platform: Platform
    account: Account

    def get(self, name: str = "acc", **headers: str) -> httpx.Response:
        return httpx.get(f"{self.url}/channel/{name}/status", headers=headers, trust_env=False)

    def post(self, code: str, name: str = "acc", **headers: str) -> httpx.Response:
        url = f"{self.url}/channel/{name}/status"
        return httpx.post(url, data={"code": code}, headers=headers, trust_env=False, timeout=30)

    def code(self) -> str:
        return make_code(self.channel.database, 60)

    def items(self, account: Account | None = None, **changes: Any) -> dict[str, Item]:
        """The report as it is now, by name."""
        settings = self.settings.model_copy(update=changes)
        reports = Reports(settings, self.channel.database)
        return {item.name: item for item in reports.of("acc", account or self.account)}


@pytest.fixture
def site(settings: Settings, database: object) -> Iterator[Site]:
    del database  # it is there, which is enough
    dify, late = Flask("dify"), Flask("late")  # the server's address is a part of its settings

    @dify.get("/v1/parameters")
    def parameters() -> Response:
        return jsonify(PARAMETERS)

    with (
        serve_platform() as (platform, platform_url),
        Server(dify) as dify_server,
        Server(late) as server,
    ):
        settings = settings.model_copy(
            update={
                "channel_public_url": server.url,
                "channel_wecom_url": platform_url,
                "channel_wait_s": 0.0,
                "knowledge_enabled": False,
            }
        )
        app = create_app(settings)
        late.wsgi_app = app.wsgi_app  # type: ignore[method-assign]  # the server asks `late` for each request
        channel: Services = app.extensions["channel"]
        account = make_account(dify_url=f"{dify_server.url}/v1")
        channel.accounts.save("acc", account)
        yield Site(server.url, settings, channel, platform, account)
        channel.close()


def test_a_stranger_sees_the_url_and_nothing_of_the_account(site: Site) -> None:
    known, unknown = site.get("acc").text, site.get("nobody").text
    assert f"{site.url}/channel/acc/callback" in known
    assert known.replace("/acc/", "/nobody/") == unknown
    for word in ("wwcorp", "dify", "127.0.0.1:9"):
        assert word not in known.partition("</style>")[2].replace(site.url, "")
    assert calls(site.platform, "gettoken") == []


@pytest.mark.parametrize("code", ["", "K7QM-3XVA-9T2H-PW5D", "x" * 3000, "é" * 16, "' OR 1=1 --"])
def test_a_wrong_code_opens_nothing_whether_there_is_the_account_or_not(
    site: Site, code: str
) -> None:
    known, unknown = site.post(code, "acc").text, site.post(code, "nobody").text
    assert known.replace("/acc/", "/nobody/") == unknown
    assert ("已过期" in known) is bool(code)
    assert "<li" not in known
    assert calls(site.platform, "gettoken") == []


def test_a_form_that_is_too_large_is_refused(site: Site) -> None:
    assert site.post("x" * 5000).status_code == 413


def test_the_page_is_kept_nowhere_and_runs_nothing(site: Site) -> None:
    for answer in (site.get(), site.post(site.code())):
        assert answer.headers["Cache-Control"] == "no-store"
        assert "noindex" in answer.headers["X-Robots-Tag"]
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
        assert "form-action 'self'" in policy
        assert "<script" not in answer.text


def test_a_code_shows_what_is_well_and_what_is_missing(site: Site) -> None:
    missing = {name for name, item in site.items().items() if item.state == "todo"}
    # The answer to our own callback is late on a busy machine.
    assert missing - {"address"} == {"worker", "verified", "message"}
    text = site.post(site.code()).text
    assert re.search("还有 [34] 项待处理", text)
    for name in ("account", "platform", "app", "visible", "dify", "verified", "message"):
        assert TITLES[name].zh in text
    english = site.post(site.code(), **{"Accept-Language": "en-GB,en;q=0.9"}).text
    assert re.search("[34] still to do", english)
    assert "write to it from your phone" in english


def test_no_secret_stands_on_the_page(site: Site) -> None:
    text = site.post(site.code()).text
    for secret in ("the-secret", "thetoken", "app-test", "wwcorp"):
        assert secret not in text


def test_an_account_that_is_not_there_is_named_with_those_that_are(site: Site) -> None:
    text = site.post(site.code(), "nobody").text
    assert "现有账号：acc。" in text
    site.channel.accounts.remove("acc")
    assert "还没有账号" in site.post(site.code(), "nobody").text


def test_the_door_of_an_endpoint_tells_the_url_to_copy(site: Site) -> None:
    door = {"X-Shenqiao-Door": "https://dify.corp.cn/e/abcdefgh"}
    assert "https://dify.corp.cn/e/abcdefgh/callback" in site.get(**door).text
    bad = site.get(**{"X-Shenqiao-Door": 'https://x/"><script>'}).text
    assert "https://x" not in bad
    assert f"{site.url}/channel/acc/callback" in bad


def test_a_url_without_tls_comes_with_a_hint(site: Site) -> None:
    assert "https://" in site.get().text
    door = {"X-Shenqiao-Door": "https://dify.corp.cn/e/abcdefgh"}
    assert "Dify 显示的为准" not in site.get(**door).text


def test_the_report_is_made_once_in_a_while(site: Site) -> None:
    for _ in range(5):
        assert site.post(site.code()).status_code == 200
    assert len(calls(site.platform, "gettoken")) == 1


def test_a_changed_account_is_looked_at_at_once(site: Site) -> None:
    site.post(site.code())
    site.channel.accounts.save("acc", site.account.model_copy(update={"enabled": False}))
    assert "shenqiao account enable" in site.post(site.code()).text


def test_a_code_is_good_for_its_time_however_it_is_written(site: Site) -> None:
    code = site.code()
    assert re.fullmatch(r"[A-Z2-9]{4}(-[A-Z2-9]{4}){3}", code)
    database = site.channel.database
    assert all(is_code(database, text) for text in (code, code.lower(), code.replace("-", " ")))
    assert not is_code(database, code[:-1])
    assert not is_code(database, make_code(database, -1))


def test_codes_come_with_the_admin_key_or_by_command(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"{site.url}/channel/status-code"
    assert httpx.post(url).status_code == 401
    keys = Keys.load(site.settings)
    made = httpx.post(url, headers={"Authorization": f"Bearer {keys.secret('admin')}"}).json()
    assert is_code(site.channel.database, made["code"])
    assert 3590 < made["expires_at"] - time.time() < 3610
    monkeypatch.setenv("SHENQIAO_DATA_DIR", str(site.settings.data_dir))
    monkeypatch.setenv("SHENQIAO_RUN_DIR", str(site.settings.run_dir))
    monkeypatch.setenv("SHENQIAO_DATABASE_URL", site.settings.database_url.get_secret_value())
    said = CliRunner().invoke(account_commands, ["code"])
    assert said.exit_code == 0, said.output
    assert is_code(site.channel.database, said.output.split()[0])


def test_the_platforms_check_of_the_url_is_remembered_and_our_own_is_not(site: Site) -> None:
    assert site.items()["verified"].state == "todo"
    assert examine(site.settings, site.channel.database, "acc", site.account)
    assert site.items()["verified"].state == "todo"
    for _ in range(2):
        check_address(site)
    assert site.items()["verified"].state == "ok"
    site.channel.accounts.remove("acc")
    site.channel.accounts.save("acc", site.account)
    assert site.items()["verified"].state == "todo"  # another app may have the name now


def test_a_trusted_ip_that_is_missing_is_named(site: Site) -> None:
    with serve_platform(trusted_ips=[], calls={"trusted_after_s": 0}) as (_, url):
        item = site.items(channel_wecom_url=url)["app"]
    assert item.state == "todo"
    assert "企业可信IP" in item.said.zh
    assert "127.0.0.1" in item.said.zh
    assert "127.0.0.1" in item.said.en


def test_how_fast_the_app_answers_stands_there_once_it_has(site: Site) -> None:
    assert "answer" not in site.items()
    message(site, state="received")
    assert site.items()["answer"].state == "todo"
    message(site, state="done", model_runs=1, took_s=2.1)
    message(site, state="failed")
    items = site.items()
    assert items["answer"].said.en == "The app answers in 2.1 s."
    assert items["answer"].said.zh == "应用在 2.1 秒内回答。"
    assert items["message"].state == "ok"
    assert items["failed"].said.en.startswith("1 in the last seven days")


def test_a_worker_that_runs_is_seen(site: Site) -> None:
    from prometheus_client import CollectorRegistry

    assert site.items()["worker"].state == "todo"
    beat = Heartbeat(site.settings.run_dir, "worker-1", CollectorRegistry())
    beat.start()
    assert site.items()["worker"].state == "ok"
    beat.stop()


def test_what_is_asked_of_others_is_told_when_they_are_away(site: Site) -> None:
    away = site.account.model_copy(update={"dify_url": "http://127.0.0.1:9/v1"})
    items = site.items(away, channel_public_url="http://127.0.0.1:9")
    assert {name for name, item in items.items() if item.state == "todo"} >= {"address", "dify"}
    assert "callback" not in items


@pytest.mark.parametrize(
    ("public", "own", "state", "word"),
    [
        ("", "", "note", "Not told"),
        ("https://x.cn/{account}/cb", "", "note", "callbacks only"),
        ("", "https://dify.cn/e/abc/callback", "ok", "https://dify.cn/e/abc/callback"),
    ],
)
def test_the_public_address_is_the_servers_or_the_endpoints(
    site: Site, public: str, own: str, state: str, word: str
) -> None:
    values = site.account.model_dump() | {"public_url": own}
    item = site.items(parse_account(values), channel_public_url=public)["public"]
    assert (item.state, word in item.said.en) == (state, True)


def test_a_bots_connection_is_told_and_not_disturbed(site: Site) -> None:
    bot = WeComBotSocket(
        surface="wecom_bot_socket",
        bot_id="b",
        secret="s",
        dify_url=site.account.dify_url,
        dify_key="k",
    )
    items = site.items(bot)
    assert items["connection"].state == "todo"
    assert not {"verified", "public", "address"} & items.keys()


def test_every_item_has_a_title_in_both_languages(site: Site) -> None:
    message(site, state="failed")
    for name, item in site.items().items():
        assert TITLES[name].en
        assert TITLES[name].zh
        assert bool(item.said.en) == bool(item.said.zh)


def test_nothing_of_a_report_becomes_html() -> None:
    shown = render(Shown(url='"><script>', code='"><script>', names=("<b>",)), "en")
    assert "<script" not in shown
    assert "<b>" not in shown


def check_address(site: Site) -> None:
    """As the console does it when the URL is saved."""
    sealed = site.account.crypt.seal("1234567", timestamp=str(int(time.time())), nonce="n1")
    query = {
        "msg_signature": sealed.signature,
        "timestamp": sealed.timestamp,
        "nonce": sealed.nonce,
        "echostr": sealed.encrypt,
    }
    answer = httpx.get(f"{site.url}/channel/acc/callback", params=query)
    assert answer.text == "1234567"


def message(site: Site, *, state: str, model_runs: int = 0, took_s: float = 0.0) -> None:
    """A message of the account that has come so far."""
    from tool_server.channel.schema import messages

    name = f"m{next(NUMBERS)}"
    claim = site.channel.ledger.claim(
        "acc", Incoming(name, name, "zhang", "text", "?", 1), wait_until=0
    )
    changed = {
        "state": state,
        "model_runs": model_runs,
        "finished_at": messages.c.received_at + took_s,
    }
    one = sa.update(messages).where(messages.c.id == claim.message_id).values(changed)
    site.channel.database.write(lambda db: db.execute(one))
