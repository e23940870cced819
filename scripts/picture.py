"""Takes the README's picture of the phone page: `python -m scripts.picture`; needs Chromium."""

import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from playground.stage import ROOT, Plan, Stage

PICTURE = ROOT / "_assets" / "phone.png"
QUESTIONS = ("年假有几天？", "VPN密码怎么重置？", "公司股票代码是多少？")


def main() -> None:
    chromium = shutil.which("chromium")
    with (
        tempfile.TemporaryDirectory() as folder,
        Stage(Plan(Path(folder))) as stage,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1100, "height": 860})
        page.goto(stage.phone_url)
        page.locator("#suggestions button").first.wait_for()
        for question in QUESTIONS:
            ask(page, question)
        page.locator(".mine .bubble").nth(1).click()
        page.locator("#timeline li.platform").wait_for()
        page.screenshot(path=PICTURE)
        browser.close()


def ask(page: Page, question: str) -> None:
    answers = page.locator("#chat .theirs:not(.typing)")
    before = answers.count()
    page.fill("#text", question)
    page.click("#compose button")
    answers.nth(before).wait_for()


if __name__ == "__main__":
    main()
