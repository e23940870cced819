"""The platform stand-in is as hard as the real one: cuts, new deliveries, silent limits, token rules."""

import json
import time

import httpx
import pytest
from flask import Response

from playground.wechat.crypto import Secrets
from playground.wechat.routes import Platform
from tests.playground.wechat.conftest import Product, wait_for


def texts(platform: Platform, user: str = "zhang") -> list[str]:
    return [entry["text"] for entry in platform.ledger.seen(user)]


def token(api: httpx.Client) -> str:
    answer = api.get("/cgi-bin/gettoken", params={"corpid": "wwcorp", "corpsecret": "s3cret"})
    return str(answer.json()["access_token"])


def push(api: httpx.Client, text: str, **more: object) -> dict[str, object]:
    body = {"touser": "zhang", "msgtype": "text", "agentid": 7, "text": {"content": text}, **more}
    answer = api.post("/cgi-bin/message/send", params={"access_token": token(api)}, json=body)
    return dict(answer.json())


def test_a_passive_reply_is_shown_and_cut_at_2048_bytes(
    platform: Platform, product: Product
) -> None:
    product.answer = lambda _xml: product.reply("汉" * 1000)
    platform.write("zhang", "你好")
    wait_for(lambda: texts(platform))
    assert texts(platform) == ["汉" * 682]
    assert "<Content>你好</Content>" in product.received[0]


def test_an_empty_200_ends_the_deliveries_and_shows_nothing(
    platform: Platform, product: Product
) -> None:
    platform.write("zhang", "你好")
    wait_for(lambda: platform.ledger.counts["empty"])
    time.sleep(0.2)
    assert len(product.received) == 1
    assert texts(platform) == []


def test_a_failure_is_delivered_three_times_with_one_message_id(
    platform: Platform, product: Product
) -> None:
    product.answer = lambda _xml: Response(status=500)
    msg_id = platform.write("zhang", "你好")
    wait_for(lambda: platform.ledger.counts["given_up"])
    assert len(product.received) == 3
    assert all(msg_id in xml for xml in product.received)
    assert len({query["nonce"] for query in product.queries}) == 3


def test_a_slow_answer_is_cut_after_five_seconds_and_not_read(
    platform: Platform, product: Product
) -> None:
    def slow(_xml: str) -> Response:
        if len(product.received) == 1:
            time.sleep(5.5)
        return product.reply("die Antwort")

    product.answer = slow
    platform.write("zhang", "你好")
    wait_for(lambda: texts(platform))
    time.sleep(0.8)
    first, second = platform.ledger.deliveries()
    assert (first["outcome"], second["outcome"]) == ("cut", "shown")
    assert 4.9 < first["seconds"] < 6
    assert texts(platform) == ["die Antwort"]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda product: product.reply("x", to="somebody"),
        lambda product: product.reply("x", secrets=Secrets("t", "A" * 43, "wwcorp")),
        lambda _product: Response("<xml><Encrypt>a</Encrypt>"),
        lambda _product: Response("hello"),
    ],
)
def test_a_reply_that_is_not_right_is_not_shown(
    platform: Platform, product: Product, wrong: object
) -> None:
    product.answer = lambda _xml: wrong(product)  # type: ignore[operator]
    platform.write("zhang", "你好")
    wait_for(lambda: platform.ledger.counts["invalid"])
    assert texts(platform) == []


def test_a_second_passive_reply_to_one_message_is_counted_and_not_shown(
    platform: Platform, product: Product
) -> None:
    product.answer = lambda _xml: product.reply("einmal")
    platform.write("zhang", "你好", copies=4)
    wait_for(lambda: platform.ledger.counts["duplicate_passive"] == 3)
    assert texts(platform) == ["einmal"]


def test_a_push_needs_a_token_a_known_user_and_the_right_app(api: httpx.Client) -> None:
    assert push(api, "a")["errcode"] == 0
    assert push(api, "a", touser="nobody")["errcode"] == 81013
    assert push(api, "a", agentid=8)["errcode"] == 301002
    bad = api.post("/cgi-bin/message/send", params={"access_token": "x"}, json={})
    assert bad.json()["errcode"] == 40014


def test_the_token_stays_the_same_until_it_is_ended(api: httpx.Client) -> None:
    first = token(api)
    assert token(api) == first
    api.post("/playground/forget_token")
    assert token(api) != first


def test_a_wrong_secret_is_refused_and_many_are_banned(api: httpx.Client) -> None:
    query = {"corpid": "wwcorp", "corpsecret": "wrong"}
    codes = [api.get("/cgi-bin/gettoken", params=query).json()["errcode"] for _ in range(11)]
    assert codes == [40001] * 10 + [45009]


def test_the_same_request_to_the_same_user_is_dropped_without_a_word(
    platform: Platform, api: httpx.Client
) -> None:
    for _ in range(2):
        assert push(api, "gleich", enable_duplicate_check=1)["errcode"] == 0
    assert (
        push(api, "gleich", enable_duplicate_check=1, duplicate_check_interval=1801)["errcode"] == 0
    )
    assert texts(platform) == ["gleich", "gleich"]
    assert platform.ledger.counts["dropped_duplicate"] == 1


def test_more_than_thirty_a_minute_are_dropped_without_a_word(
    platform: Platform, api: httpx.Client
) -> None:
    for number in range(35):
        assert push(api, str(number))["errcode"] == 0
    assert len(texts(platform)) == 30
    assert platform.ledger.counts["dropped_rate"] == 5


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"fault": "errcode", "code": 45009}, lambda r: r.json()["errcode"] == 45009),
        ({"fault": "http_500"}, lambda r: r.status_code == 500),
        ({"fault": "broken_json"}, lambda r: not _is_json(r)),
    ],
)
def test_a_scripted_fault_meets_the_next_call_only(
    api: httpx.Client, fault: dict[str, object], expected: object
) -> None:
    api.post("/playground/script", json={"call": "gettoken", "times": 1, **fault})
    query = {"corpid": "wwcorp", "corpsecret": "s3cret"}
    assert expected(api.get("/cgi-bin/gettoken", params=query))  # type: ignore[operator]
    assert api.get("/cgi-bin/gettoken", params=query).json()["errcode"] == 0


def test_somebody_who_waits_sees_a_message_at_once(platform: Platform, api: httpx.Client) -> None:
    import threading

    threading.Timer(0.3, lambda: platform.ledger.show("zhang", "push", "jetzt")).start()
    started = time.monotonic()
    seen = api.get("/playground/seen", params={"user": "zhang", "wait_s": 5}).json()["seen"]
    assert [entry["text"] for entry in seen] == ["jetzt"]
    assert 0.25 < time.monotonic() - started < 1.5


@pytest.mark.parametrize(
    "kind",
    [
        *("forged_signature", "truncated", "foreign_receive_id", "old_timestamp"),
        *("plain_body", "oversized", "garbage"),
    ],
)
def test_an_attack_reaches_the_product_and_its_answer_is_told(
    api: httpx.Client, product: Product, kind: str
) -> None:
    answer = api.post("/playground/attack", json={"kind": kind}).json()
    assert set(answer) == {"status", "body"}
    assert len(product.queries) == 1


def _is_json(response: httpx.Response) -> bool:
    try:
        json.loads(response.text)
    except ValueError:
        return False
    return True
