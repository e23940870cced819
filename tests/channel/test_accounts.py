"""Accounts in the table and in the accounts file: what is refused, what is followed, how secrets are sealed anew."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import structlog.testing
from prometheus_client import CollectorRegistry

from tests.channel.conftest import AES_KEY, make_account
from tests.waiting import until
from tool_server.channel.account import WeComApp, parse_account
from tool_server.channel.account_file import AccountFile
from tool_server.channel.accounts import Accounts
from tool_server.channel.upkeep import Upkeep
from tool_server.channel.vault import Vault, VaultError
from tool_server.database import Database
from tool_server.errors import BadRequest, Forbidden
from tool_server.settings import Settings

ENTRY = {
    "surface": "wecom_app",
    "corp_id": "wwcorp",
    "agent_id": 1000002,
    "secret": "env:APP_SECRET",
    "token": "thetoken",
    "encoding_aes_key": AES_KEY,
    "dify_url": "http://127.0.0.1:9/v1",
    "dify_key": "file:dify_key",
}


@pytest.fixture
def accounts(database: Database, settings: Settings) -> Accounts:
    return Accounts(database, Vault.open(settings.data_dir))


@pytest.fixture
def elsewhere(database: Database, settings: Settings) -> Accounts:
    """The accounts as another process has them."""
    return Accounts(database, Vault.open(settings.data_dir))


def test_another_process_sees_a_change_at_once(accounts: Accounts, elsewhere: Accounts) -> None:
    accounts.save("acc", make_account())
    assert elsewhere.get("acc") == make_account()
    accounts.save("acc", make_account(enabled=False))
    assert elsewhere.get("acc") == make_account(enabled=False)


def test_an_account_that_was_removed_and_made_again_is_the_new_one_everywhere(
    accounts: Accounts, elsewhere: Accounts
) -> None:
    accounts.save("acc", make_account())
    before = elsewhere.editions()["acc"]
    assert elsewhere.get("acc") == make_account()
    accounts.remove("acc")
    accounts.save("acc", make_account(language="en"))
    assert elsewhere.get("acc") == make_account(language="en")
    assert elsewhere.editions()["acc"] != before


def test_several_apps_of_one_corp_are_several_accounts(accounts: Accounts) -> None:
    accounts.save("one", make_account(agent_id=1))
    accounts.save("two", make_account(agent_id=2))
    accounts.save("other", make_account(corp_id="wwother"))
    assert accounts.of_corp("wwcorp") == ["one", "two"]


def test_one_app_cannot_be_two_accounts(accounts: Accounts) -> None:
    accounts.save("one", make_account())
    with pytest.raises(BadRequest, match="The account one is the same app"):
        accounts.save("two", make_account(language="en"))
    accounts.save("one", make_account(language="en"))


@pytest.mark.parametrize(
    ("menu", "field"),
    [
        ([{"name": "太长的按钮名字", "key": "k"}], "name"),
        ([{"name": "帮助"}], "menu"),
        ([{"name": "帮助", "key": "k", "url": "https://x"}], "menu"),
        ([{"name": "帮助", "key": "k" * 129}], "key"),
        ([{"name": "帮助", "url": "ftp://x"}], "url"),
        ([{"name": "更多", "below": []}], "below"),
        ([{"name": "更多", "below": [{"name": "a", "key": "k"}] * 6}], "below"),
        ([{"name": "a", "key": "k"}] * 4, "menu"),
    ],
)
def test_a_menu_that_the_platform_would_refuse_is_refused_here(
    menu: list[dict[str, Any]], field: str
) -> None:
    with pytest.raises(ValueError, match=field):
        make_account(menu=menu)


def test_a_menu_may_have_three_buttons_of_five() -> None:
    below = [{"name": "a", "key": "k"}] * 5
    app = make_account(menu=[{"name": "更多", "below": below}] * 3)
    assert isinstance(app, WeComApp)
    assert len(app.menu) == 3


# -- the accounts file ------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "dify_key").write_text("app-test\n")
    return tmp_path


@pytest.fixture
def write(folder: Path) -> Callable[[object], Path]:
    def write(content: object) -> Path:
        path = folder / "accounts.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write


@pytest.fixture
def follow(accounts: Accounts, write: Callable[[object], Path]) -> Callable[[object], None]:
    """The file with this content, followed once more by the same process."""
    file = AccountFile(write({}), accounts, {"APP_SECRET": "the-secret"})

    def follow(content: object) -> None:
        write(content)
        file.follow()

    return follow


def test_the_table_follows_the_file(accounts: Accounts, follow: Callable[[object], None]) -> None:
    follow({"acc": ENTRY})
    assert accounts.get("acc") == make_account()
    follow({"acc": ENTRY | {"language": "en"}, "two": ENTRY | {"agent_id": 2}})
    assert accounts.get("acc") == make_account(language="en")
    assert accounts.from_file() == ["acc", "two"]
    follow({"two": ENTRY | {"agent_id": 2}})
    assert accounts.names() == ["two"]


def test_an_account_may_be_renamed_in_the_file(
    accounts: Accounts, follow: Callable[[object], None]
) -> None:
    follow({"old": ENTRY})
    follow({"new": ENTRY})
    assert accounts.names() == ["new"]


def test_a_secrets_file_that_changes_is_followed(
    accounts: Accounts, follow: Callable[[object], None], folder: Path
) -> None:
    follow({"acc": ENTRY})
    (folder / "dify_key").write_text("app-new")
    follow({"acc": ENTRY})
    assert accounts.get("acc") == make_account(dify_key="app-new")


def test_what_did_not_change_is_not_written_again(
    accounts: Accounts, follow: Callable[[object], None]
) -> None:
    follow({"acc": ENTRY})
    edition = accounts.editions()["acc"]
    follow({"acc": ENTRY, "two": ENTRY | {"agent_id": 2}})
    assert accounts.editions()["acc"] == edition


def test_accounts_that_were_entered_by_hand_are_left_alone(
    accounts: Accounts, follow: Callable[[object], None]
) -> None:
    accounts.save("hand", make_account(agent_id=9))
    follow({"acc": ENTRY})
    follow({})
    assert accounts.names() == ["hand"]


def test_an_account_of_the_file_is_changed_there_only(
    accounts: Accounts, follow: Callable[[object], None]
) -> None:
    follow({"acc": ENTRY})
    with pytest.raises(Forbidden, match="accounts file"):
        accounts.save("acc", make_account(language="en"))
    with pytest.raises(Forbidden, match="accounts file"):
        accounts.remove("acc")


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("{", "JSON"),
        ([ENTRY], "JSON object"),
        ({"acc": ENTRY | {"secret": "env:NOWHERE"}}, "acc.secret"),
        ({"acc": ENTRY | {"secret": "file:nowhere"}}, "acc.secret"),
        ({"acc": ENTRY | {"agent_id": "x"}}, "acc.agent_id"),
        ({"acc": ENTRY | {"encoding_aes_key": "canary"}}, "acc.encoding_aes_key"),
        ({"acc": ENTRY, "two": ENTRY}, "two: The account acc"),
        ({"Bad Name": ENTRY}, "Bad Name"),
    ],
)
def test_a_bad_file_is_named_once_and_never_shows_a_value(
    follow: Callable[[object], None], content: object, word: str
) -> None:
    with structlog.testing.capture_logs() as logs:
        follow(content)
        follow(content)
    (line,) = [line for line in logs if line["event"] == "accounts.file_bad"]
    assert word in line["reason"]
    assert not any(secret in str(logs) for secret in ("canary", "the-secret", "app-test"))


def test_a_file_that_is_broken_for_a_while_changes_nothing(
    accounts: Accounts, follow: Callable[[object], None]
) -> None:
    follow({"acc": ENTRY})
    follow("{")
    assert accounts.get("acc") == make_account()
    follow({"acc": ENTRY | {"language": "en"}})
    assert accounts.get("acc") == make_account(language="en")


def test_a_worker_follows_the_file_while_it_runs(
    accounts: Accounts, settings: Settings, database: Database, write: Callable[[object], Path]
) -> None:
    entry = ENTRY | {"secret": "file:dify_key"}
    path = write({"acc": entry})
    changes = {"channel_accounts_file": path, "channel_check_every_s": 0.0}
    upkeep = Upkeep(settings.model_copy(update=changes), database, accounts, CollectorRegistry())
    upkeep.start()
    until(lambda: accounts.names() == ["acc"])
    write({"other": entry})
    until(lambda: accounts.names() == ["other"])
    upkeep.stop()


# -- the vault --------------------------------------------------------------------------------


def test_secrets_sealed_anew_are_followed_by_a_running_process(
    accounts: Accounts, settings: Settings
) -> None:
    accounts.save("acc", make_account())
    assert accounts.get("acc") == make_account()
    old = (settings.data_dir / "secret.key").read_bytes()
    for _ in range(2):
        _reseal(accounts, settings)
    assert old not in (settings.data_dir / "secret.key").read_bytes()
    assert accounts.get("acc") == make_account()
    accounts.save("acc", make_account(language="en"))
    assert Vault.open(settings.data_dir).unseal(accounts._vault.seal("x")) == "x"


def _reseal(accounts: Accounts, settings: Settings) -> None:
    """As the command does, in another process."""
    vault = Vault.open(settings.data_dir)
    vault.add_key()
    assert Accounts(accounts._database, vault).reseal() == 1


def test_the_key_before_the_newest_still_opens(settings: Settings, tmp_path: Path) -> None:
    vault = Vault.open(tmp_path)
    sealed = vault.seal("text")
    vault.add_key()
    assert Vault.open(tmp_path).unseal(sealed) == "text"
    vault.add_key()
    with pytest.raises(VaultError):
        Vault.open(tmp_path).unseal(sealed)


def test_the_key_file_is_ours_alone_also_after_a_new_key(tmp_path: Path) -> None:
    Vault.open(tmp_path).add_key()
    assert (tmp_path / "secret.key").stat().st_mode & 0o077 == 0


def test_an_account_of_any_surface_shows_no_secret() -> None:
    fields = {"token": "canarytoken", "encoding_aes_key": AES_KEY, "secret": "canary-secret"}
    common = {"dify_url": "http://127.0.0.1:9/v1", "dify_key": "canary-key"}
    kinds: dict[str, dict[str, object]] = {
        "wecom_app": {"corp_id": "c", "agent_id": 1, **fields},
        "wecom_kf": {"corp_id": "c", **fields},
        "wecom_bot": {key: fields[key] for key in ("token", "encoding_aes_key")},
        "wecom_bot_socket": {"bot_id": "b", "secret": fields["secret"]},
    }
    for kind, more in kinds.items():
        account = parse_account({"surface": kind, **common, **more})
        for shown in (repr(account), str(account), json.dumps(account.model_dump(mode="json"))):
            assert "canary" not in shown
            assert AES_KEY not in shown
