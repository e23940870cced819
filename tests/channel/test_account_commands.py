"""`shenqiao account …` and the other commands of accounts, against a platform that is there."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from click.testing import CliRunner, Result

from playground.wechat.platform import Platform
from tests.channel.conftest import AES_KEY, make_account
from tests.channel.wecom import serve_platform
from tool_server.channel.account_commands import account
from tool_server.channel.accounts import Accounts
from tool_server.channel.vault import Vault
from tool_server.database import Database
from tool_server.settings import Settings

MENU = [
    {"name": "新对话", "key": "/new"},
    {"name": "更多", "below": [{"name": "主页", "url": "https://example.com"}]},
]
type Run = Callable[..., Result]


@pytest.fixture
def platform_at() -> Iterator[tuple[Platform, str]]:
    with serve_platform() as found:
        yield found


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, platform_at: tuple[Platform, str]
) -> Run:
    monkeypatch.setenv("SHENQIAO_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("SHENQIAO_RUN_DIR", str(settings.run_dir))
    monkeypatch.setenv("SHENQIAO_DATABASE_URL", settings.database_url.get_secret_value())
    monkeypatch.setenv("SHENQIAO_CHANNEL_WECOM_URL", platform_at[1])

    def run(*arguments: str, text: str = "") -> Result:
        return CliRunner().invoke(account, arguments, input=text)

    return run


@pytest.fixture
def accounts(database: Database, settings: Settings) -> Accounts:
    return Accounts(database, Vault.open(settings.data_dir))


def test_a_menu_is_shown_and_taken_away(
    run: Run, accounts: Accounts, platform_at: tuple[Platform, str]
) -> None:
    accounts.save("acc", make_account(menu=MENU))
    assert run("menu", "acc").exit_code == 0
    shown: list[dict[str, Any]] = platform_at[0].api.menu["button"]
    assert shown[0] == {"type": "click", "name": "新对话", "key": "/new"}
    assert shown[1]["sub_button"][0]["url"] == "https://example.com"
    assert run("menu", "acc", "--delete").exit_code == 0
    assert platform_at[0].api.menu == {}


def test_a_menu_that_the_platform_refuses_ends_with_what_to_do(
    run: Run, accounts: Accounts
) -> None:
    accounts.save("acc", make_account(menu=MENU, agent_id=9))
    done = run("menu", "acc")
    assert done.exit_code == 1
    assert "`agent_id` is another app's number" in done.output


@pytest.mark.parametrize("path", ["", "/", "/callback", "/status"])
def test_an_account_is_told_the_address_of_its_endpoint(
    run: Run, accounts: Accounts, path: str
) -> None:
    accounts.save("acc", make_account())
    said = run("address", "acc", f"https://dify.corp.cn/e/abc{path}")
    assert said.output == "callbacks of acc come to https://dify.corp.cn/e/abc/callback\n"
    kept = accounts.get("acc")
    assert kept == make_account(public_url="https://dify.corp.cn/e/abc")
    assert "no known address" in run("address", "acc", "").output


@pytest.mark.parametrize("url", ["dify.corp.cn/e/abc", "ftp://x", "https://", "https://x/e?a=1"])
def test_an_address_that_is_none_is_refused_with_the_fields_name(
    run: Run, accounts: Accounts, url: str
) -> None:
    accounts.save("acc", make_account())
    done = run("address", "acc", url)
    assert done.exit_code == 1
    assert "public_url" in done.output
    assert accounts.get("acc") == make_account()


def test_an_account_without_a_menu_says_so(run: Run, accounts: Accounts) -> None:
    accounts.save("acc", make_account())
    assert "no buttons" in run("menu", "acc").output


def test_an_export_has_everything_but_secrets_and_can_be_entered_again(
    run: Run, accounts: Accounts
) -> None:
    accounts.save("acc", make_account(menu=MENU))
    shown = run("export").output
    for secret in ("the-secret", "thetoken", AES_KEY, "app-test"):
        assert secret not in shown
    fields = json.loads(shown)["acc"]
    assert run("add", "acc", text=json.dumps(fields | {"language": "en"})).exit_code == 0
    assert accounts.get("acc") == make_account(menu=MENU, language="en")


def test_an_account_is_switched_off_and_on(run: Run, accounts: Accounts) -> None:
    accounts.save("acc", make_account())
    for command, enabled in (("disable", False), ("enable", True)):
        assert run(command, "acc").exit_code == 0
        found = accounts.get("acc")
        assert found is not None
        assert found.enabled is enabled


def test_sealing_anew_keeps_the_accounts(run: Run, accounts: Accounts) -> None:
    accounts.save("acc", make_account())
    done = run("reseal")
    assert (done.exit_code, done.output[:10]) == (0, "1 accounts")
    assert accounts.get("acc") == make_account()


def test_with_another_key_the_account_can_be_removed_and_entered_again(
    run: Run, accounts: Accounts, settings: Settings
) -> None:
    accounts.save("acc", make_account())
    accounts.save("other", make_account(agent_id=5))
    (settings.data_dir / "secret.key").unlink()
    entered = {
        name: value.get_secret_value() if hasattr(value, "get_secret_value") else value
        for name, value in make_account()
        if name not in ("access", "menu")
    }
    refused = run("add", "acc", text=json.dumps(entered))
    assert refused.exit_code == 1
    assert "enter it again" in refused.output
    assert run("remove", "acc").exit_code == 0
    assert "saved acc" in run("add", "acc", text=json.dumps(entered)).output
