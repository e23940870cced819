"""The platform's API is as hard as the real one: tokens, receivers, silent limits, faults by script."""

import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from playground.wechat.drops import Drops
from playground.wechat.ledger import Ledger
from playground.wechat.limits import Limits
from playground.wechat.platform import Platform
from playground.wechat.tokens import Tokens
from tests.playground.wechat.conftest import push, texts, token
from tests.waiting import wait_for

MENU = {"button": [{"name": "年假", "sub_button": [{"name": "几天", "type": "click", "key": "k"}]}]}


class Clock:
    """Time that a test moves."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_push_needs_a_known_user_the_right_app_and_a_text(api: httpx.Client) -> None:
    assert push(api, "a")["errcode"] == 0
    assert push(api, "a", touser="nobody")["errcode"] == 81013
    assert push(api, "a", agentid=8)["errcode"] == 301002
    assert push(api, "a", msgtype="markdown_v2")["errcode"] == 40008
    assert push(api, "")["errcode"] == 44004
    assert push(api, "a", touser="|".join(["zhang"] * 1001))["errcode"] == 40058


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b"{", b'{"touser": 7}'])
def test_a_body_that_cannot_be_read_is_a_bad_parameter(api: httpx.Client, body: bytes) -> None:
    query = {"access_token": token(api)}
    answer = api.post("/cgi-bin/message/send", params=query, content=body)
    assert answer.json()["errcode"] == 40058


def test_a_push_reaches_whom_it_can_and_names_whom_not(
    platform: Platform, api: httpx.Client
) -> None:
    answer = push(api, "汉" * 1000, touser="zhang|Nobody|li")
    assert answer["invaliduser"] == "nobody"
    assert texts(platform, "zhang") == texts(platform, "li") == ["汉" * 682]
    assert platform.ledger.seen("li")[0]["push_id"] == answer["msgid"]


def test_the_token_stays_the_same_until_it_is_ended(api: httpx.Client) -> None:
    first = token(api)
    assert token(api) == first
    api.post("/playground/forget_token")
    assert push(api, "a", access=first)["errcode"] == 40014
    assert token(api) != first


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "message/send"), ("POST", "menu/create"), ("GET", "getcallbackip")],
)
@pytest.mark.parametrize(("given", "code"), [("", 41001), ("wrong", 40014)])
def test_every_call_needs_a_token(
    api: httpx.Client, method: str, path: str, given: str, code: int
) -> None:
    answer = api.request(method, f"/cgi-bin/{path}", params={"access_token": given}, json={})
    assert answer.json()["errcode"] == code


def test_a_token_whose_time_is_over_is_expired_and_not_bad() -> None:
    clock = Clock()
    tokens = Tokens(Limits(), clock)
    first, left = tokens.get()
    assert left == 7200
    clock.now += 7199
    assert tokens.fault(first) == 0
    clock.now += 1
    assert tokens.fault(first) == 42001
    assert tokens.get()[0] != first


def test_a_wrong_secret_is_refused_and_many_are_banned_for_an_hour(api: httpx.Client) -> None:
    query = {"corpid": "wwcorp", "corpsecret": "wrong"}
    codes = [api.get("/cgi-bin/gettoken", params=query).json()["errcode"] for _ in range(11)]
    assert codes == [40001] * 10 + [45009]


def test_the_ban_ends() -> None:
    clock = Clock()
    tokens = Tokens(Limits(wrong_secrets=1), clock)
    tokens.wrong_secret()
    assert tokens.banned()
    clock.now += 3600
    assert not tokens.banned()


def test_the_same_request_to_the_same_user_is_dropped_without_a_word(
    platform: Platform, api: httpx.Client
) -> None:
    for interval in (1800, 1800, 1801):
        answer = push(api, "gleich", enable_duplicate_check=1, duplicate_check_interval=interval)
        assert answer["errcode"] == 0
    assert push(api, "gleich")["errcode"] == 0
    assert push(api, "gleich")["errcode"] == 0
    assert texts(platform) == ["gleich"] * 4
    assert platform.ledger.counts["dropped_duplicate"] == 1


def test_a_duplicate_is_one_until_its_interval_is_over_and_four_hours_at_most() -> None:
    clock, ledger = Clock(), Ledger()
    drops = Drops(Limits(), ledger, clock)
    assert not drops.duplicate("zhang", b"{}", 10**6)
    assert not drops.duplicate("li", b"{}", None)
    clock.now += 14399
    assert drops.duplicate("zhang", b"{}", 10**6)
    assert not drops.duplicate("li", b"{}", None)
    clock.now += 1
    assert not drops.duplicate("zhang", b"{}", 10**6)


def test_more_than_thirty_a_minute_are_dropped_without_a_word(
    platform: Platform, api: httpx.Client
) -> None:
    access = token(api)
    for number in range(35):
        assert push(api, str(number), access=access)["errcode"] == 0
    assert push(api, "to another", access=access, touser="li")["errcode"] == 0
    assert len(texts(platform)) == 30
    assert texts(platform, "li") == ["to another"]
    assert platform.ledger.counts["dropped_rate"] == 5


def test_a_minute_and_an_hour_pass() -> None:
    clock = Clock()
    drops = Drops(Limits(per_minute=2, per_hour=3), Ledger(), clock)
    assert [drops.too_many("zhang") for _ in range(3)] == [False, False, True]
    clock.now += 60
    assert [drops.too_many("zhang") for _ in range(2)] == [False, True]
    clock.now += 3600
    assert not drops.too_many("zhang")


@pytest.mark.parametrize(
    ("menu", "code"),
    [
        (MENU, 0),
        ({}, 40016),
        ({"button": [{"name": "a"}] * 4}, 40016),
        ({"button": [{"name": "a", "sub_button": [{"name": "b"}] * 6}]}, 40023),
        ({"button": [{"name": "年假年假年假"}]}, 40018),
        ({"button": [{"name": "a", "key": "k" * 129}]}, 40019),
        ({"button": [{"name": "a", "url": "u" * 1025}]}, 40020),
    ],
)
def test_a_menu_has_its_limits(api: httpx.Client, menu: dict[str, Any], code: int) -> None:
    query: dict[str, str] = {"access_token": token(api), "agentid": "7"}
    answer = api.post("/cgi-bin/menu/create", params=query, json=menu)
    assert answer.json()["errcode"] == code


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"fault": "errcode", "code": 45009}, lambda r: r.json()["errcode"] == 45009),
        ({"fault": "http_500"}, lambda r: r.status_code == 500),
        ({"fault": "broken_json"}, lambda r: not _is_json(r)),
        ({"fault": "slow_before", "seconds": 0.3}, lambda r: r.elapsed.total_seconds() > 0.28),
    ],
)
def test_a_scripted_fault_meets_the_next_call_only(
    api: httpx.Client, fault: dict[str, Any], expected: Callable[[httpx.Response], bool]
) -> None:
    api.post("/playground/script", json={"call": "gettoken", **fault}).raise_for_status()
    query = {"corpid": "wwcorp", "corpsecret": "s3cret"}
    assert expected(api.get("/cgi-bin/gettoken", params=query))
    assert api.get("/cgi-bin/gettoken", params=query).json()["errcode"] == 0
    faults = [call["fault"] for call in api.get("/playground/calls").json()["calls"]]
    assert faults == [fault["fault"], ""]


@pytest.mark.parametrize(
    ("fault", "shown"), [("reset_before", []), ("reset_after", ["a"]), ("slow_after", ["a"])]
)
def test_a_call_without_an_answer_may_have_been_taken(
    platform: Platform, api: httpx.Client, fault: str, shown: list[str]
) -> None:
    access = token(api)
    body = {"call": "message/send", "fault": fault, "seconds": 1.0}
    api.post("/playground/script", json=body)
    api.timeout = httpx.Timeout(0.5)
    with pytest.raises(httpx.HTTPError):
        push(api, "a", access=access)
    wait_for(lambda: texts(platform) == shown)


def test_a_fault_may_let_calls_pass_first(api: httpx.Client) -> None:
    api.post("/playground/script", json={"call": "send", "fault": "errcode", "skip": 2, "times": 2})
    access = token(api)
    assert [push(api, str(n), access=access)["errcode"] for n in range(5)] == [0, 0, -1, -1, 0]


def test_a_script_can_be_taken_back(api: httpx.Client) -> None:
    api.post("/playground/script", json={"call": "send", "fault": "errcode", "times": 9})
    api.delete("/playground/script")
    assert push(api, "a")["errcode"] == 0


def test_calls_are_written_down_with_their_latency(api: httpx.Client) -> None:
    before = time.time()
    push(api, "a", touser="nobody")
    calls = api.get("/playground/calls").json()["calls"]
    assert [(c["path"], c["errcode"], c["status"]) for c in calls] == [
        ("/cgi-bin/gettoken", 0, 200),
        ("/cgi-bin/message/send", 81013, 200),
    ]
    now = time.time()
    assert all(
        0 <= call["seconds"] < now - before and before <= call["at"] <= now for call in calls
    )


def _is_json(response: httpx.Response) -> bool:
    try:
        json.loads(response.text)
    except ValueError:
        return False
    return True
