"""An installation whose only public door is an endpoint in Dify: callbacks, pages, signing in and status through it.

The package runs under the SDK in a process of its own, behind the playground's daemon door; the rest runs here.
"""

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from flask import Flask
from playwright.sync_api import Page as Tab
from playwright.sync_api import sync_playwright

from playground.dify.door import endpoint_blueprint
from playground.dify.plugin import Plugin
from playground.serving import Server
from playground.wechat.platform import Platform
from tests.channel.conftest import make_account, make_kf
from tests.channel.wecom import serve_platform
from tests.waiting import until
from tool_server.app import create_app
from tool_server.channel import wxxml
from tool_server.channel.account import Account, WeComBot
from tool_server.channel.doctor import examine
from tool_server.channel.page import Page
from tool_server.channel.services import Services
from tool_server.channel.status_codes import make_code
from tool_server.channel.surface import Incoming
from tool_server.settings import Settings

ROOT = Path(__file__).parents[2]
HOOK = "abcdefghijklmnop"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium", path="/usr/bin")
TEXT = "# 年假\n\n| 姓名 | 天数 |\n| --- | --- |\n| 张三 | 12 |"


@dataclass
class House:
    """The tool server inside, and the one door outside."""

    url: str
    settings: Settings
    channel: Services
    platform: Platform
    platform_url: str

    def save(self, account: Account, name: str = "acc") -> Account:
        account = account.model_copy(update={"public_url": self.url})
        self.channel.accounts.save(name, account)
        return account

    def page(self, user: str = "") -> str:
        """The address of an answer's page, as the product makes it."""
        incoming = Incoming("m1", "m1", "zhang", "text", "?", 1)
        message = self.channel.ledger.claim("acc", incoming, wait_until=0).message_id
        page = Page(message, "acc", user, TEXT, "zh", self.channel.pages.expiry())
        return f"{self.url}/answers/{self.channel.pages.keep(page)}"


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plugin]:
    plugin = Plugin(ROOT, tmp_path_factory.mktemp("logs") / "package.log")
    plugin.wait_ready()
    yield plugin
    plugin.stop()


@pytest.fixture
def house(settings: Settings, database: object, plugin: Plugin) -> Iterator[House]:
    del database  # it is there, which is enough
    door, form = Flask("door", static_folder=None), {"server_url": "", "account": "acc"}
    door.register_blueprint(endpoint_blueprint(plugin, HOOK, form))
    with serve_platform() as (platform, platform_url), Server(door) as outside:
        settings = settings.model_copy(
            update={
                "channel_wecom_url": platform_url,
                "channel_wecom_authorize_url": f"{platform_url}/connect/oauth2/authorize",
                "channel_wait_s": 0.0,
                "channel_relay_wait_s": 0.0,
                "knowledge_enabled": False,
            }
        )
        app = create_app(settings)
        with Server(app) as inside:
            form["server_url"] = inside.url
            channel: Services = app.extensions["channel"]
            platform.oauth.trusted_domains.add(urlsplit(outside.url).netloc)
            house = House(f"{outside.url}/e/{HOOK}", settings, channel, platform, platform_url)
            house.save(make_account())
            yield house
        channel.close()


def test_the_doctors_callbacks_come_in_through_the_endpoint(house: House) -> None:
    """Once it answers in the platform's second, which a busy machine may not do at first."""
    account = house.channel.accounts.get("acc")
    assert account is not None
    database = house.channel.database

    def went_well() -> set[str]:
        checks = examine(house.settings, database, "acc", account)
        return {check.name for check in checks if check.ok}

    until(lambda: {"address", "callback"} <= went_well())


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("surface", ["app", "bot", "kf"])
def test_every_surface_is_verified_and_takes_its_callbacks(
    house: House, surface: str, slash: str
) -> None:
    account = house.save(ACCOUNTS[surface]())
    crypt, now = account.crypt, str(int(time.time()))
    sealed = crypt.seal("1234567", timestamp=now, nonce="n1")
    query = {"msg_signature": sealed.signature, "timestamp": now, "nonce": "n1"}
    url = f"{house.url}/callback{slash}"
    assert httpx.get(url, params=query | {"echostr": sealed.encrypt}).text == "1234567"
    sealed = crypt.seal(_message(surface), timestamp=now, nonce="n2")
    query = {"msg_signature": sealed.signature, "timestamp": now, "nonce": "n2"}
    if surface == "bot":
        answer = httpx.post(url, params=query, json={"encrypt": sealed.encrypt}, timeout=30)
        assert answer.headers["Content-Type"] == "application/json"
        assert "encrypt" in answer.json()
    else:
        body = f"<xml><Encrypt>{wxxml.cdata(sealed.encrypt)}</Encrypt></xml>"
        answer = httpx.post(url, params=query, content=body, timeout=30)
        assert answer.content == b""
    assert answer.status_code == 200
    forged = query | {"msg_signature": "0" * 40}
    assert httpx.post(url, params=forged, content=b"<xml/>").status_code == 403


def test_whoever_has_the_address_of_an_open_answer_reads_it(house: House) -> None:
    answer = httpx.get(house.page())
    assert answer.status_code == 200
    assert "<td>12</td>" in answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Content-Security-Policy"].startswith(
        "default-src 'none'; style-src 'sha"
    )
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"


def test_one_persons_answer_is_read_after_signing_in_through_the_endpoint(house: House) -> None:
    browser = httpx.Client(follow_redirects=True, trust_env=False, timeout=30)
    browser.get(f"{house.platform_url}/connect/as/zhang")
    address = house.page("zhang")
    first = browser.get(address)
    assert "<td>12</td>" in first.text
    assert str(first.url).partition("#")[0] == address
    assert [answer.status_code for answer in first.history] == [302, 302, 302]
    assert browser.get(address).history == []
    paths = {cookie.path for cookie in browser.cookies.jar if cookie.name.startswith("shenqiao")}
    assert paths == {f"/e/{HOOK}"}


def test_nobody_else_reads_it(house: House) -> None:
    browser = httpx.Client(follow_redirects=True, trust_env=False, timeout=30)
    browser.get(f"{house.platform_url}/connect/as/li")
    answer = browser.get(house.page("zhang"))
    assert answer.status_code == 403
    assert "只给提问的人看" in answer.text


def test_the_status_page_tells_the_endpoints_url(house: House) -> None:
    answer = httpx.get(f"{house.url}/status")
    assert f"{house.url}/callback" in answer.text
    assert httpx.get(f"{house.url}/").text == answer.text
    slash = httpx.get(f"{house.url}/status/", follow_redirects=True)
    assert (slash.text, str(slash.url)) == (answer.text, f"{house.url}/status")


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")
def test_an_administrator_opens_the_report_in_a_browser(house: House) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        tab = browser.new_page(viewport={"width": 375, "height": 700}, locale="en-GB")
        said: list[str] = []
        tab.on("console", lambda line: said.append(line.text))
        tab.goto(f"{house.url}/")
        tab.fill("input[name=code]", make_code(house.channel.database, 60))
        tab.click("button")
        assert tab.url == f"{house.url}/status"
        _shows(tab, "still to do")
        tab.click("button")
        _shows(tab, "still to do")
        width = tab.evaluate("document.documentElement.scrollWidth")
        browser.close()
    assert width == 375
    assert [text for text in said if "favicon" not in text and "404" not in text] == []


def _shows(tab: Tab, words: str) -> None:
    tab.wait_for_selector("li")
    assert words in tab.inner_text("body")


def _bot() -> WeComBot:
    app = make_account()
    values = {name: value for name, value in app if name in WeComBot.model_fields}
    return WeComBot.model_validate(values | {"surface": "wecom_bot"})


ACCOUNTS: dict[str, Callable[[], Account]] = {"app": make_account, "bot": _bot, "kf": make_kf}


def _message(surface: str) -> str:
    """A first message of somebody, as each surface words it."""
    match surface:
        case "app":
            return (
                "<xml><ToUserName>wwcorp</ToUserName><FromUserName>zhang</FromUserName>"
                f"<CreateTime>{int(time.time())}</CreateTime><MsgType>text</MsgType><Content>年假</Content>"
                "<MsgId>77</MsgId><AgentID>1000002</AgentID></xml>"
            )
        case "kf":
            return (
                "<xml><ToUserName>wwcorp</ToUserName><CreateTime>1</CreateTime><MsgType>event</MsgType>"
                "<Event>kf_msg_or_event</Event><Token>t</Token><OpenKfId>wk1</OpenKfId></xml>"
            )
    return (
        '{"msgid": "77", "aibotid": "b", "chattype": "single", "from": {"userid": "zhang"},'
        ' "msgtype": "text", "text": {"content": "年假"}}'
    )
