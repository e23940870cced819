"""The doctor: every check against a platform, a Dify and a server that are real, well and not."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Flask, Response, jsonify
from prometheus_client import CollectorRegistry, generate_latest

from playground.serving import Server
from playground.wechat.faults import Fault
from playground.wechat.platform import Platform
from tests.channel.conftest import make_account
from tests.channel.wecom import serve_platform
from tool_server.app import create_app
from tool_server.auth import Keys
from tool_server.channel.account import Account
from tool_server.channel.checks import Check, check_platform
from tool_server.channel.checkup import Checkup
from tool_server.channel.doctor import examine
from tool_server.channel.doctor_commands import doctor
from tool_server.channel.public import public_of
from tool_server.channel.schema import messages
from tool_server.channel.wecom_errors import FAULTS, advice, refusal
from tool_server.database import Database
from tool_server.settings import Settings

PARAMETERS: dict[str, Any] = {
    "user_input_form": [{"text-input": {"variable": "ticket"}}],
    "file_upload": {"enabled": True},
}


@pytest.fixture
def platform_at() -> Iterator[tuple[Platform, str]]:
    with serve_platform() as found:
        yield found


@pytest.fixture
def platform(platform_at: tuple[Platform, str]) -> Platform:
    return platform_at[0]


@pytest.fixture
def dify_url() -> Iterator[str]:
    app = Flask("dify")

    @app.get("/v1/parameters")
    def parameters() -> Response:
        return jsonify(PARAMETERS)

    with Server(app) as server:
        yield f"{server.url}/v1"


@pytest.fixture
def app(settings: Settings, platform_at: tuple[Platform, str], database: Database) -> Iterator[Any]:
    changes = {"channel_wecom_url": platform_at[1], "channel_wait_s": 0.0}
    app = create_app(settings.model_copy(update=changes))
    yield app
    app.extensions["channel"].close()


@pytest.fixture
def own(app: Flask, settings: Settings, platform_at: tuple[Platform, str]) -> Iterator[Settings]:
    """The settings of a server that is up and knows its public address."""
    with Server(app) as server:
        changes = {"channel_wecom_url": platform_at[1], "channel_public_url": server.url}
        yield settings.model_copy(update=changes)


@pytest.fixture
def account(dify_url: str, app: Flask) -> Account:
    account = make_account(dify_url=dify_url)
    app.extensions["channel"].accounts.save("acc", account)
    return account


def bad(checks: list[Check]) -> dict[str, str]:
    return {check.name: check.advice for check in checks if not check.ok}


def test_all_is_well_and_nothing_of_it_is_kept_as_a_message(
    own: Settings, account: Account, database: Database
) -> None:
    checks = examine(own, database, "acc", account, "zhang")
    assert bad(checks) == {}
    names = "platform app visible user address callback dify ticket files"
    assert [check.name for check in checks] == names.split()
    assert database.read(lambda db: db.execute(messages.select()).all()) == []


@pytest.mark.parametrize(
    ("changes", "name", "word"),
    [
        ({"secret": "wrong"}, "platform", "`secret` is wrong"),
        ({"corp_id": "wwother"}, "platform", "40001"),
        ({"agent_id": 5}, "app", "`agent_id` is another app's"),
        ({"token": "othertoken"}, "address", "refused"),
        ({"dify_url": "http://127.0.0.1:9/v1"}, "dify", "cannot be reached"),
    ],
)
def test_what_is_wrong_is_named_with_what_to_do(
    own: Settings,
    database: Database,
    account: Account,
    changes: dict[str, object],
    name: str,
    word: str,
) -> None:
    entered = make_account(**{"dify_url": account.dify_url} | changes)
    assert word in bad(examine(own, database, "acc", entered))[name]


def test_an_address_that_is_not_trusted_is_named(settings: Settings) -> None:
    with serve_platform(trusted_ips=[], calls={"trusted_after_s": 0}) as (platform, url):
        settings = settings.model_copy(update={"channel_wecom_url": url})
        found = bad(check_platform(settings, make_account()))
        assert list(found) == ["app"]
        assert "企业可信IP" in found["app"]
        assert "127.0.0.1" in found["app"]
        platform.gate.trust(["127.0.0.1"])
        assert bad(check_platform(settings, make_account())) == {}


def test_an_app_that_nobody_sees_and_a_person_outside_are_told(settings: Settings) -> None:
    org = {"departments": {1: 0, 2: 1}, "people": {"li": [2]}}
    with serve_platform(visible=[], org=org) as (_, url):
        settings = settings.model_copy(update={"channel_wecom_url": url})
        found = bad(check_platform(settings, make_account(), "li"))
        assert set(found) == {"visible", "user"}
        assert "可见范围" in found["visible"]
        assert "60011" in found["user"]


def test_a_public_address_where_nobody_is_says_so(
    own: Settings, database: Database, account: Account
) -> None:
    away = own.model_copy(update={"channel_public_url": "http://127.0.0.1:9"})
    assert "Nobody answers" in bad(examine(away, database, "acc", account))["address"]


def test_a_disabled_account_refuses_its_callbacks(
    own: Settings, database: Database, account: Account, app: Flask
) -> None:
    app.extensions["channel"].accounts.save("acc", account.model_copy(update={"enabled": False}))
    assert "disabled" in bad(examine(own, database, "acc", account))["address"]


@pytest.mark.parametrize(
    ("public", "address"),
    [
        ("", ""),
        ("https://bot.example.com/", "https://bot.example.com/channel/acc/callback"),
        ("https://dify.example/e/x/{account}/cb", "https://dify.example/e/x/acc/cb"),
    ],
)
def test_the_public_address_is_a_base_or_a_pattern(
    settings: Settings, public: str, address: str
) -> None:
    changed = settings.model_copy(update={"channel_public_url": public})
    assert public_of(changed, "acc", make_account()).callback == address


def test_the_route_examines_and_needs_the_admin_key(
    app: Flask, account: Account, settings: Settings
) -> None:
    client, keys = app.test_client(), Keys.load(settings)
    url = "/channel/accounts/acc/check"
    assert client.post(url).status_code == 401
    headers = {"Authorization": f"Bearer {keys.secret('admin')}"}
    answer = client.post(url, headers=headers).get_json()
    assert answer["ok"] is True
    assert {check["name"] for check in answer["checks"]} >= {"platform", "app", "dify"}
    assert client.post("/channel/accounts/nobody/check", headers=headers).status_code == 404


def test_an_account_of_the_accounts_file_is_not_changed_over_http(
    app: Flask, account: Account, settings: Settings
) -> None:
    app.extensions["channel"].accounts.save("acc", account, from_file=True)
    headers = {"Authorization": f"Bearer {Keys.load(settings).secret('admin')}"}
    client = app.test_client()
    shown = client.get("/channel/accounts/acc", headers=headers).get_json()["account"]
    for answer in (
        client.put("/channel/accounts/acc", headers=headers, json=shown),
        client.delete("/channel/accounts/acc", headers=headers),
    ):
        assert answer.status_code == 403
        assert "accounts file" in answer.get_json()["error"]["message"]


def test_the_hourly_checkup_is_a_metric(
    own: Settings, database: Database, account: Account, app: Flask
) -> None:
    registry = CollectorRegistry()
    checkup = Checkup(own, database, app.extensions["channel"].accounts, registry)
    checkup.look()
    page = generate_latest(registry).decode()
    assert 'shenqiao_channel_check_ok{account="acc",check="callback"} 1.0' in page


def test_a_check_that_changes_is_logged_once_and_a_removed_account_leaves_the_metric(
    own: Settings,
    database: Database,
    account: Account,
    app: Flask,
    platform: Platform,
    capsys: Any,
) -> None:
    accounts, registry = app.extensions["channel"].accounts, CollectorRegistry()
    checkup = Checkup(own, database, accounts, registry)
    platform.api.script(Fault("gettoken", "errcode", 2, code=40001))
    for _ in range(3):
        checkup.look()
    said = [line for line in capsys.readouterr().out.splitlines() if "check.changed" in line]
    assert len(said) == 2  # ill, then well again
    accounts.remove("acc")
    checkup.look()
    assert 'account="acc"' not in generate_latest(registry).decode()


@pytest.mark.parametrize("code", [code for fault in FAULTS for code in fault.codes])
def test_every_known_code_has_a_sentence_for_the_operator(code: int) -> None:
    said = advice(refusal(code, "not allow to access from your ip, from ip: 1.2.3.4, more"))
    assert f"(code {code})" in said.en
    assert f"（错误码 {code}）" in said.zh
    for text in (said.en, said.zh):
        assert ("1.2.3.4" in text) is (code == 60020)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/WW_verify_abcdEFGH12345678.txt", 200),
        ("/WW_verify_abcdEFGH12345679.txt", 404),
        ("/WW_verify_.txt", 404),
        ("/WW_verify_abcdEFGH1234567.txt", 404),
        ("/WW_verify_..%2f..%2fsecret.key.txt", 404),
    ],
)
def test_the_domains_file_is_served_by_its_exact_name_only(
    app: Flask, path: str, status: int
) -> None:
    account = make_account(verify_code="abcdEFGH12345678")
    app.extensions["channel"].accounts.save("acc", account)
    answer = app.test_client().get(path)
    assert answer.status_code == status
    if status == 200:
        assert answer.data == b"abcdEFGH12345678"


def test_the_commands_report_as_text_and_json(
    own: Settings, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHENQIAO_DATA_DIR", str(own.data_dir))
    monkeypatch.setenv("SHENQIAO_RUN_DIR", str(own.run_dir))
    monkeypatch.setenv("SHENQIAO_DATABASE_URL", own.database_url.get_secret_value())
    monkeypatch.setenv("SHENQIAO_CHANNEL_WECOM_URL", own.channel_wecom_url)
    monkeypatch.setenv("SHENQIAO_CHANNEL_PUBLIC_URL", own.channel_public_url)
    text = CliRunner().invoke(doctor, ["--wecom"])
    assert text.exit_code == 0, text.output
    assert "ok  callback" in text.output
    shown = json.loads(CliRunner().invoke(doctor, ["--wecom", "acc", "--json"]).output)
    assert {check["name"] for check in shown["acc"]} >= {"address", "callback"}
    assert CliRunner().invoke(doctor, ["--wecom", "acc", "--user", ""]).exit_code == 0
    assert "60020" in CliRunner().invoke(doctor, ["--codes"]).output
    assert CliRunner().invoke(doctor, []).exit_code == 2
