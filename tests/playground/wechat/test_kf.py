"""Customer service is as hard as the real one: tokens, cursors, pages, quota, window, states, late failures."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from playground.serving import Server
from playground.wechat.__main__ import platform_app
from playground.wechat.kf.service import Service
from playground.wechat.kf.sync import SyncTokens
from playground.wechat.platform import Platform
from tests.playground.wechat.conftest import SECRETS, Make, Product, texts, token
from tests.waiting import wait_for

KF = "wk1"


class Clock:
    """Time that a test moves."""

    now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


class Client:
    """The product's calls, and the hands of customers and humans."""

    def __init__(self, platform: Platform, http: httpx.Client) -> None:
        assert platform.kf is not None
        self.platform = platform
        self.service: Service = platform.kf
        self.clock = Clock()
        self.service.desk.clock = self.clock
        self._http = http
        self._token = token(http)

    def call(self, path: str, **body: Any) -> dict[str, Any]:
        query = {"access_token": self._token}
        body = {"open_kfid": KF, **body}
        return dict(self._http.post(f"/cgi-bin/kf/{path}", params=query, json=body).json())

    def say(self, user: str = "zhang", text: str = "你好", **more: Any) -> str:
        body = {"user": user, "text": text, "tell": False, **more}
        return str(self._http.post("/playground/kf/messages", json=body).json()["msg_id"])

    def send(self, text: str = "Antwort", user: str = "zhang", **more: Any) -> int:
        body = {"touser": user, "msgtype": "text", "text": {"content": text}, **more}
        return int(self.call("send_msg", **body)["errcode"])

    def items(self, **more: Any) -> list[dict[str, Any]]:
        return list(self.call("sync_msg", **more)["msg_list"])

    def does(self, path: str, **body: Any) -> None:
        self._http.post(f"/playground/kf/{path}", json=body).raise_for_status()


@pytest.fixture
def client(make: Make, request: pytest.FixtureRequest) -> Iterator[Client]:
    limits = getattr(request, "param", {})
    kf = {"accounts": {KF: "Help"}, "token": SECRETS.token, "encoding_aes_key": SECRETS.aes_key}
    platform = make(kf={**kf, "limits": {"fail_after_s": 0.01, **limits}})
    with (
        Server(platform_app(platform)) as server,
        httpx.Client(base_url=server.url, trust_env=False, timeout=20) as http,
    ):
        yield Client(platform, http)


def limits(**changed: Any) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("client", [changed], indirect=True)


def test_every_call_needs_the_apps_token(client: Client) -> None:
    client._token = "wrong"
    for path in ("sync_msg", "send_msg", "send_msg_on_event", "service_state/get", "account/list"):
        assert client.call(path)["errcode"] == 40014


def test_pages_follow_their_cursor_to_the_end(client: Client) -> None:
    written = [client.say(text=str(number)) for number in range(5)]
    first = client.call("sync_msg", limit=3)
    second = client.call("sync_msg", limit=3, cursor=first["next_cursor"])
    assert (first["has_more"], second["has_more"]) == (1, 0)
    assert [item["msgid"] for item in first["msg_list"] + second["msg_list"]] == written
    assert client.items(cursor=second["next_cursor"]) == []
    assert len(client.items()) == 5


@limits(empty_every=2)
def test_a_page_may_be_empty_although_there_is_more(client: Client) -> None:
    client.say()
    first = client.call("sync_msg", limit=1)
    client.say()
    empty = client.call("sync_msg", cursor=first["next_cursor"])
    assert (empty["msg_list"], empty["has_more"]) == ([], 1)
    assert len(client.items(cursor=empty["next_cursor"])) == 1


def test_without_a_cursor_it_begins_three_days_ago(client: Client) -> None:
    client.say(age_s=259_300)
    kept = client.say(age_s=259_000)
    assert [item["msgid"] for item in client.items()] == [kept]


@pytest.mark.parametrize("body", [{"cursor": "made-up"}, {"limit": 0}, {"limit": 1001}])
def test_what_the_platform_never_gave_is_a_bad_parameter(
    client: Client, body: dict[str, Any]
) -> None:
    assert client.call("sync_msg", **body)["errcode"] == 40058


def test_an_unknown_service_account_is_named(client: Client) -> None:
    assert client.call("sync_msg", open_kfid="wk2")["errcode"] == 95000


def test_a_token_of_a_callback_is_good_for_ten_minutes_and_one_account() -> None:
    clock = Clock()
    tokens = SyncTokens(600, 0, clock)
    issued = tokens.issue(KF)
    assert tokens.fault(KF, issued) == 0
    assert tokens.fault("wk2", issued) == 95007
    clock.now += 600
    assert tokens.fault(KF, issued) == 95007


@limits(bare_per_minute=2)
def test_calls_without_a_token_are_few(client: Client) -> None:
    codes = [client.call("sync_msg")["errcode"] for _ in range(3)]
    assert codes == [0, 0, 45009]
    issued = client.service.sync.tokens.issue(KF)
    assert client.call("sync_msg", token=issued)["errcode"] == 0


def test_five_answers_to_a_message_and_again_five_after_the_next(client: Client) -> None:
    client.say()
    assert [client.send(str(number)) for number in range(6)] == [0] * 5 + [95001]
    client.say()
    assert client.send("six") == 0
    assert texts(client.platform) == ["0", "1", "2", "3", "4", "six"]


def test_after_48_hours_nothing_is_sent(client: Client) -> None:
    client.say()
    client.clock.now += 172_801
    assert client.send() == 95002


def test_a_msgid_that_was_used_is_taken_and_not_shown(client: Client) -> None:
    client.say()
    assert [client.send(text, msgid="mine-1") for text in ("a", "b")] == [0, 0]
    assert texts(client.platform) == ["a"]
    assert client.platform.ledger.counts["dropped_duplicate"] == 1


@limits(repeated_msgid_code=40058)
def test_a_msgid_that_was_used_may_be_refused_as_well(client: Client) -> None:
    client.say()
    assert [client.send(text, msgid="mine-1") for text in ("a", "b")] == [0, 40058]


@pytest.mark.parametrize("msgid", ["a" * 33, "with space", "ü", 7])
def test_a_msgid_has_its_letters_and_length(client: Client, msgid: object) -> None:
    client.say()
    assert client.send(msgid=msgid) == 40058


def test_a_text_is_cut_and_other_kinds_are_named(client: Client) -> None:
    client.say()
    assert client.send("汉" * 1000) == 0
    body = {"touser": "zhang", "msgtype": "image", "image": {"media_id": "m"}}
    assert client.call("send_msg", **body)["errcode"] == 0
    assert client.call("send_msg", touser="zhang", msgtype="markdown")["errcode"] == 40008
    assert texts(client.platform) == ["汉" * 682, "[image]"]


def test_while_a_human_serves_nothing_else_is_sent_and_afterwards_it_begins_anew(
    client: Client,
) -> None:
    client.say()
    client.does("human", user="zhang", does="take")
    assert client.send() == 95018
    client.does("human", user="zhang", does="say", text="Hier")
    client.does("human", user="zhang", does="end")
    assert client.send() == 95013
    client.say()
    assert client.send() == 0
    origins = [item["origin"] for item in client.items()]
    assert origins == [3, 4, 5, 4, 3]


def test_an_events_ids_stand_inside_it(client: Client) -> None:
    client.say()
    client.does("human", user="zhang", does="take")
    event = client.items()[-1]
    assert "external_userid" not in event
    assert (event["event"]["external_userid"], event["event"]["change_type"]) == ("zhang", 1)


def test_the_api_changes_states_only_where_the_table_allows_it(client: Client) -> None:
    client.say()
    of = {"external_userid": "zhang"}
    assert client.call("service_state/get", **of)["service_state"] == 0
    assert client.call("service_state/trans", **of, service_state=1)["errcode"] == 0
    assert client.call("service_state/trans", **of, service_state=0)["errcode"] == 95016
    nobody = client.call("service_state/trans", **of, service_state=3, servicer_userid="x")
    assert nobody["errcode"] == 95014
    human = {"service_state": 3, "servicer_userid": "servicer"}
    assert client.call("service_state/trans", **of, **human)["errcode"] == 0
    assert client.call("service_state/get", **of)["servicer_userid"] == "servicer"
    assert client.call("service_state/trans", **of, service_state=4)["errcode"] == 0
    assert client.call("service_state/trans", **of, service_state=1)["errcode"] == 95016


def test_a_message_that_was_taken_may_fail_later(client: Client) -> None:
    client.say()
    client.does("fail", fail_type=13, skip=1)
    assert [client.send(str(number), msgid=f"m{number}") for number in range(2)] == [0, 0]
    wait_for(lambda: len(client.items()) == 2)
    event = client.items()[-1]["event"]
    assert (event["event_type"], event["fail_msgid"], event["fail_type"]) == (
        *("msg_send_fail", "m1"),
        13,
    )
    assert texts(client.platform) == ["0"]


def test_a_welcome_code_shows_one_message_for_twenty_seconds(client: Client) -> None:
    code = client.service.enter(KF, "zhang")
    welcome = {"code": code, "msgtype": "text", "text": {"content": "Hallo"}}
    assert client.call("send_msg_on_event", **welcome)["errcode"] == 0
    assert client.call("send_msg_on_event", **welcome)["errcode"] == 95021
    late = client.service.enter(KF, "li")
    client.clock.now += 21
    assert client.call("send_msg_on_event", **{**welcome, "code": late})["errcode"] == 95021
    assert texts(client.platform) == ["Hallo"]


def test_who_wrote_a_while_ago_is_not_welcomed_again(client: Client) -> None:
    client.say()
    assert client.service.enter(KF, "zhang") == ""


def test_a_callback_says_only_that_there_is_something(client: Client, product: Product) -> None:
    client.service.notices.courier.callback_url = product.url
    client.say(text="geheim", tell=True)
    wait_for(lambda: product.received)
    (inner,) = product.received
    assert f"<OpenKfId>{KF}</OpenKfId>" in inner
    assert "kf_msg_or_event" in inner
    assert "geheim" not in inner
    issued = inner.split("<Token>")[1].split("</Token>")[0]
    assert len(client.items(token=issued)) == 1


def test_accounts_are_listed(client: Client) -> None:
    assert client.call("account/list", limit=100)["account_list"][0]["open_kfid"] == KF
