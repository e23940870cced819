"""The phone page in a real browser: a person writes, the answer appears, its life is shown."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, sync_playwright

from playground.serving import Server
from playground.wechat.phone import create_app
from playground.wechat.routes import Platform
from tests.playground.wechat.conftest import Product

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")
LIFE: dict[str, Any] = {"users": ["zhang", "li"], "suggestions": ["年假有几天？"]}


@pytest.fixture(scope="module")
def browser_page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser.new_page()
        browser.close()


@pytest.fixture
def page(browser_page: Page, platform: Platform) -> Iterator[Page]:
    with Server(create_app(platform, LIFE)) as server:
        browser_page.goto(server.url)
        browser_page.locator("#suggestions button").first.wait_for()
        yield browser_page
        browser_page.goto("about:blank")


def write(page: Page, text: str) -> str:
    """Send a message; the answer's bubble."""
    page.fill("#text", text)
    page.click("#compose button")
    return str(page.locator("#chat .theirs:not(.typing) .bubble").last.inner_text())


def test_an_answer_appears_with_its_source_set_apart(page: Page, product: Product) -> None:
    product.answer = lambda _xml: product.reply("12 天\n\n来源：手册 › 年假")
    assert write(page, "年假？").split() == ["12", "天", "来源：手册", "›", "年假"]
    assert page.locator(".source").inner_text() == "来源：手册 › 年假"


def test_markup_in_a_message_or_an_answer_is_text(page: Page, product: Product) -> None:
    bad = '<img src=x onerror="document.title=1"><script>document.title=2</script>'
    product.answer = lambda _xml: product.reply(bad)
    assert write(page, bad) == bad
    assert page.locator("#chat img").count() == 0
    assert page.title() == "深桥 · 手机"


def test_a_chip_asks_its_question_and_the_life_of_the_message_is_shown(
    page: Page, product: Product
) -> None:
    product.answer = lambda _xml: product.reply("12 天")
    page.locator("#suggestions button").first.click()
    page.locator("#timeline li.platform").wait_for()
    assert "年假有几天" in page.locator("#chat .mine .bubble").last.inner_text()
    assert "回复直接显示" in page.locator("#timeline").inner_text()


def test_each_user_has_a_chat_of_their_own(page: Page, product: Product) -> None:
    product.answer = lambda _xml: product.reply("只给张")
    write(page, "你好")
    page.select_option("#user", "li")
    page.locator("#chat .bubble").first.wait_for(state="detached")
    page.select_option("#user", "zhang")
    page.get_by_text("只给张").wait_for()


def test_the_page_speaks_english_too(page: Page) -> None:
    page.click("#language")
    assert page.locator("h2").inner_text() == "What happened behind"
    assert page.locator("#compose button").inner_text() == "Send"


def test_the_page_fits_a_narrow_phone(page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    box = page.locator("#compose button").bounding_box()
    assert box is not None
    assert box["y"] + box["height"] <= 740
