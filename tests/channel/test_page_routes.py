"""Pages of whole answers over HTTP: what they let through, for whom, and the sign-in at a real stand-in of WeCom."""

import itertools
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from flask import Flask
from playwright.sync_api import sync_playwright

from playground.serving import Server
from playground.wechat.faults import Fault
from playground.wechat.platform import Platform
from tests.channel.conftest import make_account
from tests.channel.wecom import serve_platform
from tool_server.app import create_app
from tool_server.channel.page import Page
from tool_server.channel.page_html import html_of
from tool_server.channel.services import Services
from tool_server.channel.surface import Incoming
from tool_server.migrate import migrate
from tool_server.settings import Settings

TEXT = "# 年假\n\n| 姓名 | 天数 |\n| --- | --- |\n| 张三 | 12 |\n\n见 [手册](https://kb.corp.cn/leave)。"

NUMBERS = itertools.count()
CHROMIUM = shutil.which("chromium") or shutil.which("chromium", path="/usr/bin")
WIDE = (
    "| 城市 | 住宿（元/晚） | 餐补（元/天） | 交通 | 说明 |\n|---|---|---|---|---|\n"
    "| 北京、上海 | 600 | 120 | 实报实销 | 旺季可上浮百分之二十 |\n\n"
    f"```\n{'x = 1; ' * 40}\n```\n\nhttps://kb.corp.cn/{'a' * 200}\n"
)


@dataclass
class Site:
    """The tool server at an address, the platform beside it, and browsers of people."""

    url: str
    channel: Services
    platform: Platform
    platform_url: str

    def page(self, user: str = "", *, text: str = TEXT, account: str = "acc") -> str:
        """A page's address."""
        name = f"m{next(NUMBERS)}"
        incoming = Incoming(name, name, "zhang", "text", "?", 1)
        message = self.channel.ledger.claim("acc", incoming, wait_until=0).message_id
        expires_at = self.channel.pages.expiry()
        page = Page(message, account, user, text, "zh", expires_at)
        return f"{self.url}/channel/answers/{self.channel.pages.keep(page)}"

    def browser(self, user: str = "") -> httpx.Client:
        """A browser in the WeChat of a person."""
        browser = httpx.Client(follow_redirects=True, trust_env=False)
        if user:
            browser.get(f"{self.platform_url}/connect/as/{user}")
        return browser


@pytest.fixture
def site(settings: Settings) -> Iterator[Site]:
    migrate(settings)
    late = Flask("late")  # its address must be known before the product is made
    with serve_platform() as (platform, platform_url), Server(late) as server:
        app = create_app(
            settings.model_copy(
                update={
                    "channel_public_url": server.url,
                    "channel_wecom_url": platform_url,
                    "channel_wecom_authorize_url": f"{platform_url}/connect/oauth2/authorize",
                    "knowledge_enabled": False,
                }
            )
        )
        late.wsgi_app = app.wsgi_app  # type: ignore[method-assign]  # the server asks `late` for each request
        channel: Services = app.extensions["channel"]
        channel.accounts.save("acc", make_account())
        platform.oauth.trusted_domains.add(urlsplit(server.url).netloc)
        yield Site(server.url, channel, platform, platform_url)
        channel.close()


def test_whoever_has_the_address_of_an_open_answer_reads_it(site: Site) -> None:
    answer = site.browser().get(site.page())
    assert answer.status_code == 200
    assert "<td>12</td>" in answer.text
    assert '<a href="https://kb.corp.cn/leave" rel="noopener noreferrer">手册</a>' in answer.text


def test_a_page_is_kept_nowhere_loads_nothing_and_tells_nobody_where_its_reader_came_from(
    site: Site,
) -> None:
    headers = site.browser().get(site.page()).headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "noindex" in headers["X-Robots-Tag"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "script" not in policy


@pytest.mark.parametrize("secret", ["x", "x" * 32, "x" * 5000, "%00", "a.b", "callback"])
def test_an_address_that_was_never_given_is_a_plain_page(site: Site, secret: str) -> None:
    answer = site.browser().get(f"{site.url}/channel/answers/{secret}")
    assert answer.status_code == 404
    assert "过期" in answer.text


def test_a_browser_that_asks_for_english_is_told_so_in_english(site: Site) -> None:
    answer = site.browser().get(
        f"{site.url}/channel/answers/x", headers={"Accept-Language": "en-GB,en;q=0.9"}
    )
    assert "expired" in answer.text


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[x](javascript:alert(1))",
        "![x](javascript:alert(1))",
        "`<script>`\n\n```\n</code><script>alert(1)</script>\n```",
        "&lt;script&gt;alert(1)&lt;/script&gt;",
        "\\<script>alert(1)\\</script>",
        '$<script>$ https://kb.corp.cn/"><script>',
        "<T onload=alert(1)>",
    ],
)
def test_nothing_in_an_answer_becomes_html_of_its_own(text: str) -> None:
    shown = html_of(text)
    assert "<script" not in shown
    assert "<img" not in shown
    assert 'href="javascript' not in shown
    assert "<T" not in shown


def test_the_asker_signs_in_once_and_reads(site: Site) -> None:
    address, browser = site.page("zhang"), site.browser("zhang")
    first = browser.get(address)
    assert first.status_code == 200
    assert "<td>12</td>" in first.text
    assert [answer.status_code for answer in first.history] == [302, 302, 302]
    assert browser.get(address).history == []


def test_a_member_id_counts_in_any_case_of_letters(site: Site) -> None:
    assert site.browser("ZHANG").get(site.page("zhang")).status_code == 200


@pytest.mark.parametrize("user", ["li", "outside-1", "zhan"])
def test_nobody_else_reads_what_is_one_persons(site: Site, user: str) -> None:
    answer = site.browser(user).get(site.page("zhang"))
    assert answer.status_code == 403
    assert "只给提问的人看" in answer.text
    assert "12" not in answer.text.partition("<main>")[2]


def test_who_is_not_in_wechat_gets_no_further_than_its_door(site: Site) -> None:
    answer = site.browser().get(site.page("zhang"))
    assert str(answer.url).startswith(site.platform_url)
    assert "WeChat" in answer.text


def test_a_domain_that_is_not_trusted_is_refused_by_the_platform(site: Site) -> None:
    site.platform.oauth.trusted_domains.clear()
    assert site.browser("zhang").get(site.page("zhang")).text.startswith("50001")


def test_the_cookies_of_signing_in_are_out_of_reach_of_scripts(site: Site) -> None:
    browser = httpx.Client(trust_env=False)
    start = browser.get(site.page("zhang"))
    cookie = start.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Path=/channel" in cookie
    state = parse_qs(urlsplit(start.headers["Location"]).query)["state"][0]
    assert state not in cookie
    assert state.isalnum()
    assert len(state) <= 128


def test_a_link_of_somebody_elses_sign_in_signs_nobody_in(site: Site) -> None:
    """The attacker's code and state, in the victim's browser: without the cookie they are nothing."""
    attacker = httpx.Client(trust_env=False)
    attacker.get(f"{site.platform_url}/connect/as/li")
    start = attacker.get(site.page("zhang")).headers["Location"]
    back = attacker.get(start).headers["Location"]
    victim = site.browser("zhang").get(back)
    assert victim.status_code == 403
    assert "登录没有成功" in victim.text


def test_a_state_is_good_once(site: Site) -> None:
    browser = httpx.Client(trust_env=False)
    browser.get(f"{site.platform_url}/connect/as/zhang")
    first = browser.get(site.page("zhang"))
    kept = first.headers["Set-Cookie"].partition(";")[0]
    back = browser.get(first.headers["Location"]).headers["Location"]
    once = [httpx.get(back, headers={"Cookie": kept}).status_code for _ in range(2)]
    assert once == [302, 403]


def test_a_forged_session_is_no_session(site: Site) -> None:
    answer = httpx.get(site.page("zhang"), cookies={"shenqiao-reader": "zhang"})
    assert answer.status_code == 302


def test_a_state_cookie_is_no_session(site: Site) -> None:
    address = site.page("zhang")
    kept = httpx.get(address).headers["Set-Cookie"].partition(";")[0].partition("=")[2]
    assert httpx.get(address, cookies={"shenqiao-reader": kept}).status_code == 302


def test_who_signed_in_for_one_account_did_not_for_another(site: Site) -> None:
    site.channel.accounts.save("other", make_account(agent_id=1000003))
    browser = site.browser("zhang")
    browser.get(site.page("zhang"))
    browser.follow_redirects = False
    assert browser.get(site.page("zhang", account="other")).status_code == 302


@pytest.mark.parametrize(
    ("fault", "status", "words"), [(40029, 403, "登录没有成功"), (-1, 503, "稍后再试")]
)
def test_a_platform_that_does_not_tell_who_it_was_is_a_plain_page(
    site: Site, fault: int, status: int, words: str
) -> None:
    site.platform.api.script(Fault("auth/getuserinfo", "errcode", times=10, code=fault))
    answer = site.browser("zhang").get(site.page("zhang"))
    assert answer.status_code == status
    assert words in answer.text


def test_a_page_of_an_account_that_is_gone_is_gone(site: Site) -> None:
    address = site.page("zhang")
    site.channel.accounts.remove("acc")
    assert site.browser("zhang").get(address).status_code == 404


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_a_page_without_scrolling_sideways_and_without_a_complaint(
    site: Site, scheme: Literal["light", "dark"]
) -> None:
    address = site.page(text=WIDE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 375, "height": 700}, color_scheme=scheme)
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.goto(address)
        width = page.evaluate("document.documentElement.scrollWidth")
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        browser.close()
    assert width == 375
    assert paper == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(17, 20, 24)")
    assert [text for text in said if "favicon" not in text and "404" not in text] == []
