"""The phone page in a real browser: a person writes, the answer appears, its life is shown."""

import shutil
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from flask import Flask, Response, jsonify, request
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from playground.serving import Server
from playground.wechat.__main__ import build
from playground.wechat.config import Config, read_config
from playground.wechat.phone import create_app
from playground.wechat.platform import Platform
from tests.playground.wechat.conftest import CONFIG, Make, Product
from tests.waiting import wait_for

CHROMIUM = shutil.which("chromium") or shutil.which("chromium", path="/usr/bin")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")
KEY = "the-timeline-key"
QUESTION = "年假有几天？"


class ToolServer:
    """Tells the life of any message: answered passively, or as a test says."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.message: dict[str, Any] = {"state": "done", "mode": "passive", "model_runs": 1}
        self.events: list[tuple[str, dict[str, Any]]] = [
            ("received", {"kind": "text"}),
            ("leased", {}),
            ("run.started", {"again": ""}),
            ("answered", {"characters": 4, "pieces": 1}),
            ("mode.passive", {}),
        ]

    def app(self) -> Flask:
        app = Flask("timeline")

        @app.get("/messages/<msg_id>")
        def life(msg_id: str) -> Response:
            self.keys.append(request.headers["Authorization"])
            now = time.time()
            events = [{"at": now, "name": name, "data": data} for name, data in self.events]
            return jsonify(message=self.message, events=events, pieces=[])

        return app


@pytest.fixture
def tool_server() -> ToolServer:
    return ToolServer()


@pytest.fixture
def config(tool_server: ToolServer) -> Iterator[Config]:
    with Server(tool_server.app()) as server:
        yield read_config(
            {
                **CONFIG,
                "users": ["zhang", "li"],
                "suggestions": [QUESTION, "When is salary paid?"],
                "timeline_url": f"{server.url}/messages/{{msg_id}}",
                "timeline_key": KEY,
            }
        )


@pytest.fixture
def phone(platform: Platform, config: Config) -> Iterator[str]:
    with Server(create_app(platform, config)) as server:
        yield server.url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, phone: str) -> Iterator[Page]:
    """The page, opened; no test may leave an error in the browser's console."""
    page = browser.new_page(viewport={"width": 1100, "height": 860})
    errors: list[str] = []
    page.on("console", lambda said: errors.append(said.text) if _is_fault(said) else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(phone)
    page.locator("#suggestions button").first.wait_for()
    yield page
    page.close()
    assert errors == []


def _is_fault(said: ConsoleMessage) -> bool:
    """An error of ours; the browser also notes each answer that is no 200."""
    return said.type == "error" and "Failed to load resource" not in said.text


def write(page: Page, text: str) -> str:
    """Send a message; the answer's bubble."""
    answers = page.locator("#chat .theirs:not(.typing) .bubble")
    before = answers.count()
    page.fill("#text", text)
    page.click("#compose button")
    answers.nth(before).wait_for()
    return str(answers.nth(before).inner_text())


@needs_browser
def test_an_answer_appears_with_its_source_set_apart(page: Page, product: Product) -> None:
    product.answer = lambda _xml: product.reply("12 天\n\n来源：手册 › 年假")
    assert write(page, "年假？").split() == ["12", "天", "来源：手册", "›", "年假"]
    assert page.locator(".source").inner_text() == "来源：手册 › 年假"


@needs_browser
def test_markup_in_a_message_or_an_answer_is_text(page: Page, product: Product) -> None:
    bad = '<img src=x onerror="document.title=1"><script>document.title=2</script>'
    product.answer = lambda _xml: product.reply(bad)
    assert write(page, bad) == bad
    assert page.locator("#chat img").count() == 0
    assert page.title() == "深桥 · 手机"


@needs_browser
def test_markup_in_the_life_of_a_message_is_text(
    page: Page, product: Product, tool_server: ToolServer
) -> None:
    bad = "<img src=x onerror=alert(1)>"
    tool_server.events = [(bad, {}), ("later", {"reason": bad, "in_s": 1})]
    product.answer = lambda _xml: product.reply("12 天")
    write(page, "年假？")
    page.locator("#timeline li.warn").wait_for()
    assert page.locator("#timeline").inner_text().count(bad) == 2
    assert page.locator("#timeline img").count() == 0


@needs_browser
def test_a_chip_asks_its_question_and_the_life_of_the_message_is_shown_in_order(
    page: Page, product: Product
) -> None:
    product.answer = lambda _xml: product.reply("12 天")
    page.locator("#suggestions button").first.click()
    page.locator("#timeline li.platform").wait_for()
    page.get_by_text("检索、生成完毕").wait_for()
    assert page.locator("#chat .mine .bubble").last.inner_text() == QUESTION
    steps = page.locator("#timeline li .what").all_inner_texts()
    assert steps[0] == "在手机上按下发送"
    assert any("4 个字，分 1 条" in step for step in steps)
    assert page.locator("#timeline .ms").first.inner_text() == "+0 ms"
    facts = page.locator("#facts").inner_text()
    assert "被动回复" in facts
    assert "模型运行 1 次" in facts


@needs_browser
def test_a_push_is_found_by_the_platforms_id(
    page: Page, platform: Platform, tool_server: ToolServer
) -> None:
    tool_server.message = {"state": "done", "mode": "push", "model_runs": 1}
    tool_server.events = [("piece.sent", {"ordinal": 1, "platform_id": "push-1"})]
    page.locator("#suggestions button").first.click()
    wait_for(lambda: platform.ledger.counts["empty"])
    platform.ledger.show("zhang", "push", "12 天", push_id="push-1")
    platform.ledger.show("zhang", "push", "anderes", push_id="push-2")
    page.get_by_text("推送的消息显示在手机上").wait_for()
    assert page.locator("#timeline li", has_text="推送的消息").count() == 1


@needs_browser
def test_waiting_is_shown_until_the_answer_comes(page: Page, platform: Platform) -> None:
    page.locator("#suggestions button").first.click()
    page.locator("#chat .typing").wait_for()
    platform.ledger.show("zhang", "push", "12 天")
    page.get_by_text("12 天").wait_for()
    assert page.locator("#chat .typing").count() == 0


@needs_browser
def test_a_cut_is_shown_as_what_it_is(page: Page, platform: Platform) -> None:
    platform.courier.callback_url = "http://127.0.0.1:9/"
    page.locator("#suggestions button").first.click()
    page.get_by_text("投递失败，平台会重试").first.wait_for()
    assert "ConnectionRefusedError" in page.locator("#timeline li.warn").first.inner_text()


@needs_browser
def test_each_user_has_a_chat_of_their_own(page: Page, product: Product) -> None:
    product.answer = lambda _xml: product.reply("只给张")
    write(page, "你好")
    page.select_option("#user", "li")
    page.locator("#chat .bubble").first.wait_for(state="detached")
    page.select_option("#user", "zhang")
    page.get_by_text("只给张").wait_for()


@needs_browser
def test_a_message_that_was_not_sent_says_so_and_keeps_the_text(page: Page) -> None:
    page.route("**/api/messages", lambda route: route.fulfill(status=429, json={}))
    page.fill("#text", "你好")
    page.click("#compose button")
    page.get_by_role("alert").wait_for()
    assert page.input_value("#text") == "你好"


@needs_browser
def test_the_page_speaks_english_too(page: Page, product: Product) -> None:
    product.answer = lambda _xml: product.reply("12 days")
    write(page, "leave?")
    page.click("#language")
    assert page.locator("h2").inner_text() == "What happened behind"
    assert page.locator("#compose button").inner_text() == "Send"
    assert page.locator("#suggestions button").first.inner_text() == "When is salary paid?"
    assert page.locator("#timeline li").first.inner_text().endswith("Sent on the phone")
    assert page.locator("html").get_attribute("lang") == "en"
    page.click("#language")
    assert page.locator("h2").inner_text() == "背后发生了什么"


@needs_browser
@pytest.mark.parametrize("width", [360, 1100])
def test_nothing_is_wider_than_the_screen(page: Page, product: Product, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 740})
    product.answer = lambda _xml: product.reply("x" * 500)
    write(page, "汉" * 100)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate("document.querySelector('#chat').scrollWidth") <= width
    box = page.locator("#compose button").bounding_box()
    assert box is not None
    assert box["y"] + box["height"] <= 740


@needs_browser
def test_every_control_has_a_name_and_can_be_reached_by_key(page: Page) -> None:
    named = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select")].map((e) =>
            e.getAttribute("aria-label") || e.textContent.trim() || e.labels?.[0]?.textContent)"""
    )
    assert all(named)
    page.locator("#text").focus()
    page.keyboard.type("你好")
    page.keyboard.press("Enter")
    page.locator("#chat .mine .bubble").wait_for()
    page.locator("#chat .mine .bubble").focus()
    page.keyboard.press("Space")
    assert page.locator("#chat .mine .bubble").get_attribute("aria-pressed") == "true"


@needs_browser
def test_text_stands_out_from_its_ground(page: Page, product: Product) -> None:
    product.answer = lambda _xml: product.reply("12 天\n\n来源：手册")
    write(page, "年假？")
    page.locator("#timeline li").first.wait_for()
    selectors = ["h1", ".title p", ".time", ".bubble", ".source", "#compose button", "#facts span"]
    selectors += ["#timeline .ms", ".legend li", "#suggestions button", ".face", "#language"]
    for selector in selectors:
        assert page.evaluate(CONTRAST, selector) >= 4.5, selector


# The contrast of an element's text to the nearest ground that is painted in one colour.
CONTRAST = """(selector) => {
  const light = (colour) => {
    const part = colour.match(/[0-9.]+/g).slice(0, 3).map((n) => n / 255)
      .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * part[0] + 0.7152 * part[1] + 0.0722 * part[2];
  };
  let element = document.querySelector(selector);
  const ink = light(getComputedStyle(element).color);
  while (element && getComputedStyle(element).backgroundColor === "rgba(0, 0, 0, 0)") element = element.parentElement;
  const ground = light(getComputedStyle(element || document.body).backgroundColor);
  return (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05);
}"""


def test_the_key_stays_with_the_phones_server(
    phone: str, platform: Platform, tool_server: ToolServer
) -> None:
    msg_id = platform.write("zhang", "你好")
    with httpx.Client(base_url=phone, trust_env=False) as client:
        answers = [client.get(path) for path in ("/", "/phone.js", "/api/start")]
        answers.append(client.get(f"/api/messages/{msg_id}"))
    assert tool_server.keys == [f"Bearer {KEY}"]
    assert answers[-1].json()["server"]["message"]["state"] == "done"
    for answer in answers:
        assert KEY not in answer.text + str(answer.headers)
        assert "default-src 'self'" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"user": "zhang", "text": " "}, "text"),
        ({"user": "zhang", "text": "x" * 2001}, "text"),
        ({"user": "stranger", "text": "x"}, "user"),
        ({"text": "x"}, "user"),
    ],
)
def test_the_phone_refuses_what_it_cannot_send(
    phone: str, body: dict[str, str], field: str
) -> None:
    answer = httpx.post(f"{phone}/api/messages", json=body, trust_env=False)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(f"{field}: ")


def test_a_message_that_nobody_wrote_has_no_life(phone: str) -> None:
    assert httpx.get(f"{phone}/api/messages/7", trust_env=False).status_code == 404


def test_a_tool_server_that_is_away_leaves_the_platforms_part(make: Make, config: Config) -> None:
    platform = make()
    away = config.model_copy(update={"timeline_url": "http://127.0.0.1:9/{msg_id}"})
    msg_id = platform.write("zhang", "你好")
    wait_for(lambda: platform.ledger.deliveries(msg_id))
    with Server(create_app(platform, away)) as server:
        life = httpx.get(f"{server.url}/api/messages/{msg_id}", trust_env=False).json()
    assert life["server"] == {}
    assert len(life["deliveries"]) == 1


@pytest.fixture
def bot_phone(config: Config) -> Iterator[tuple[str, Platform]]:
    """A phone whose person may write to an AI bot too."""
    section = {"token": "bottoken", "encoding_aes_key": "A" * 43}
    values = {**config.model_dump(exclude={"limits", "bot"}), "bot": section}
    platform = build(values)
    with Server(create_app(platform, read_config(values))) as server:
        yield server.url, platform


@needs_browser
def test_a_bots_answer_grows_in_one_bubble_of_a_conversation_of_its_own(
    browser: Browser, bot_phone: tuple[str, Platform]
) -> None:
    url, platform = bot_phone
    assert platform.bot is not None
    page = browser.new_page()
    page.goto(url)
    page.select_option("#surface", "bot")
    answers = page.locator("#chat .theirs:not(.typing) .bubble")

    def show(content: str, *, finish: bool = False) -> None:
        platform.bot.streams.show(  # type: ignore[union-attr]
            "s1", user="zhang", chat="", msg_id="m1", content=content, finish=finish
        )

    show("⏳ 检索…")
    answers.get_by_text("⏳ 检索…").wait_for()
    show("年假有")
    page.locator("#chat .growing").get_by_text("年假有").wait_for()
    show("年假有 12 天。", finish=True)
    answers.get_by_text("年假有 12 天。").wait_for()
    assert answers.count() == 1
    assert page.locator("#chat .growing").count() == 0
    page.select_option("#surface", "app")
    wait_for(lambda: answers.count() == 0)
    page.close()
