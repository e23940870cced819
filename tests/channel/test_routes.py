"""Callbacks, accounts and timelines over the HTTP surface: what is refused, what is stored, what leaks."""

import json
import secrets
import time
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.channel.conftest import AES_KEY
from tool_server.app import create_app
from tool_server.auth import Keys
from tool_server.channel import wxxml
from tool_server.channel.wxcrypt import WxCrypt
from tool_server.migrate import migrate
from tool_server.settings import Settings

CRYPT = WxCrypt("thetoken", AES_KEY, "wwcorp")
ACCOUNT = {
    "surface": "wecom_app",
    "corp_id": "wwcorp",
    "agent_id": 1000002,
    "secret": "the-secret",
    "token": "thetoken",
    "encoding_aes_key": AES_KEY,
    "dify_url": "http://127.0.0.1:9/v1",
    "dify_key": "app-secret",
}


@pytest.fixture
def client(settings: Settings) -> Iterator[FlaskClient]:
    settings = settings.model_copy(
        update={
            "channel_wait_s": 0.0,
            "channel_wecom_url": "http://127.0.0.1:9",
            "channel_queue_limit": 3,
            "channel_busy_limit": 0,
        }
    )
    migrate(settings)
    app = create_app(settings)
    client = app.test_client()
    keys = Keys.load(settings)
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {keys.secret('admin')}"
    assert client.put("/channel/accounts/acc", json=ACCOUNT).status_code == 200
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {keys.secret('channel')}"
    yield client
    app.extensions["channel"].close()


def message(number: int = 1, **fields: str) -> str:
    values = {
        "ToUserName": "wwcorp",
        "FromUserName": "zhang",
        "CreateTime": "1700000000",
        "MsgType": "text",
        "Content": f"问题 {number}",
        "MsgId": str(number),
        "AgentID": "1000002",
        **fields,
    }
    return "<xml>" + "".join(f"<{k}>{wxxml.cdata(v)}</{k}>" for k, v in values.items()) + "</xml>"


def deliver(
    client: FlaskClient, inner: str, *, at: float | None = None, crypt: WxCrypt = CRYPT
) -> TestResponse:
    nonce = secrets.token_hex(8)
    sealed = crypt.seal(inner, timestamp=str(int(at or time.time())), nonce=nonce)
    query = {"msg_signature": sealed.signature, "timestamp": sealed.timestamp, "nonce": nonce}
    body = f"<xml><ToUserName>wwcorp</ToUserName><Encrypt>{sealed.encrypt}</Encrypt></xml>"
    return client.post("/channel/acc/callback", query_string=query, data=body)


def test_the_address_check_is_answered_with_the_plain_text_alone(client: FlaskClient) -> None:
    sealed = CRYPT.seal("1616140317555161061", timestamp="1409659589", nonce="263014780")
    query = {
        "msg_signature": sealed.signature,
        "timestamp": sealed.timestamp,
        "nonce": sealed.nonce,
        "echostr": sealed.encrypt,
    }
    answer = client.get("/channel/acc/callback", query_string=query)
    assert (answer.status_code, answer.data) == (200, b"1616140317555161061")


def test_a_message_is_stored_once_and_acknowledged_with_an_empty_200(client: FlaskClient) -> None:
    for _ in range(2):
        answer = deliver(client, message())
        assert (answer.status_code, answer.data) == (200, b"")
    life = client.get("/channel/accounts/acc/messages/1").get_json()
    assert life["message"]["connections"] == 2
    assert [event["name"] for event in life["events"]] == ["received", "repeated"]


@pytest.mark.parametrize(
    "refused",
    [
        {"crypt": WxCrypt("anothertoken", AES_KEY, "wwcorp")},
        {"crypt": WxCrypt("thetoken", AES_KEY, "wwother")},
        {"at": time.time() - 3600},
        {"inner": message(AgentID="7")},
        {"inner": message(ToUserName="wwother")},
        {"inner": message(FromUserName="")},
        {"inner": "<xml><A>1</A>"},
        {"inner": "not xml"},
    ],
)
def test_what_is_not_from_the_platform_for_this_app_gets_one_403(
    client: FlaskClient, refused: dict[str, Any]
) -> None:
    answer = deliver(client, refused.pop("inner", message()), **refused)
    assert answer.status_code == 403
    assert answer.get_json()["error"]["message"] == "This callback was refused."
    assert client.get("/channel/accounts/acc/messages/1").status_code == 404


@pytest.mark.parametrize(
    "body", [b"", b"<xml>", b"\xff" * 100, b"<xml><Encrypt>x</Encrypt></xml>", b"{}"]
)
def test_a_broken_body_is_refused_and_never_a_fault(client: FlaskClient, body: bytes) -> None:
    now = str(int(time.time()))
    query = {"msg_signature": "0" * 40, "timestamp": now, "nonce": "n"}
    assert client.post("/channel/acc/callback", query_string=query, data=body).status_code == 403


def test_an_unknown_account_answers_like_a_bad_signature(client: FlaskClient) -> None:
    known = client.post("/channel/acc/callback", data=b"<xml/>")
    unknown = client.post("/channel/nobody/callback", data=b"<xml/>")
    assert (unknown.status_code, unknown.data) == (known.status_code, known.data)


def test_a_body_over_the_limit_is_refused(client: FlaskClient) -> None:
    assert client.post("/channel/acc/callback", data=b"x" * 70000).status_code == 413


def test_a_full_queue_asks_the_platform_to_deliver_again(client: FlaskClient) -> None:
    for number in range(1, 4):
        assert deliver(client, message(number)).status_code == 200
    full = deliver(client, message(4))
    assert full.status_code == 503
    assert full.headers["Retry-After"]
    assert client.get("/channel/accounts/acc/messages/4").status_code == 404


def test_an_event_without_a_message_id_is_noted_once(client: FlaskClient) -> None:
    event = message(MsgType="event", Event="unsubscribe").replace(
        "<MsgId><![CDATA[1]]></MsgId>", ""
    )
    assert deliver(client, event).status_code == 200
    assert deliver(client, event).status_code == 200
    life = client.get("/channel/accounts/acc/messages/zhang-1700000000-unsubscribe").get_json()
    assert life["message"]["state"] == "done"


def test_accounts_need_the_admin_key_and_never_show_a_secret(
    client: FlaskClient, settings: Settings
) -> None:
    assert client.get("/channel/accounts/acc").status_code == 403
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {Keys.load(settings).secret('admin')}"
    shown = client.get("/channel/accounts/acc")
    assert shown.status_code == 200
    for secret in ("the-secret", "thetoken", AES_KEY, "app-secret"):
        assert secret not in shown.text
    del client.environ_base["HTTP_AUTHORIZATION"]
    assert client.get("/channel/accounts/acc").status_code == 401


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"encoding_aes_key": "short"}, "encoding_aes_key"),
        ({"token": "with space"}, "token"),
        ({"dify_url": "ftp://x"}, "dify_url"),
        ({"agent_id": "abc"}, "agent_id"),
        ({"surface": "telegram"}, "surface"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_wrong_field_of_an_account_is_named_and_its_value_is_not(
    client: FlaskClient, settings: Settings, change: dict[str, str], field: str
) -> None:
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {Keys.load(settings).secret('admin')}"
    answer = client.put("/channel/accounts/acc", json={**ACCOUNT, **change})
    assert answer.status_code == 400
    assert answer.get_json()["error"]["field"] == field
    assert "the-secret" not in answer.text


def test_saving_an_account_says_what_does_not_work(client: FlaskClient, settings: Settings) -> None:
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {Keys.load(settings).secret('admin')}"
    answer = client.put("/channel/accounts/acc", json={**ACCOUNT, "secret": "…"})
    checks = {check["name"]: check for check in answer.get_json()["checks"]}
    assert not checks["platform"]["ok"]
    assert "cannot be reached" in checks["dify"]["advice"]


@pytest.mark.sqlite
def test_secrets_are_sealed_in_the_database(client: FlaskClient, settings: Settings) -> None:
    stored = b"".join(path.read_bytes() for path in settings.data_dir.glob("shenqiao.db*"))
    for secret in ("the-secret", "thetoken", AES_KEY, "app-secret"):
        assert secret.encode() not in stored
    assert (settings.data_dir / "secret.key").stat().st_mode & 0o077 == 0


def test_broken_json_is_a_400(client: FlaskClient, settings: Settings) -> None:
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {Keys.load(settings).secret('admin')}"
    answer = client.put("/channel/accounts/acc", data=b"{", content_type="application/json")
    assert answer.status_code == 400
    assert json.loads(answer.data)["error"]["message"]
