"""Signing in at the stand-in: codes are good once and for a while, for trusted domains; cards change once."""

from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from playground.serving import Server
from playground.wechat.__main__ import build, platform_app
from playground.wechat.cards import Cards
from playground.wechat.limits import CardLimits, OAuthLimits
from playground.wechat.oauth import OAuth
from tests.playground.wechat.conftest import CONFIG

GOOD = {
    "appid": "wwcorp",
    "redirect_uri": "https://bot.corp.cn/login",
    "response_type": "code",
    "scope": "snsapi_base",
    "state": "s1",
    "agentid": "7",
}
TRUSTED = OAuthLimits(trusted_domains=("bot.corp.cn",))
CARD = {
    "card_type": "button_interaction",
    "main_title": {"title": "?"},
    "task_id": "t-1",
    "button_list": [{"text": "+", "key": "like"}],
}


def test_a_browser_comes_back_with_a_code_and_its_state() -> None:
    config = {**CONFIG, "oauth": {"trusted_domains": ["bot.corp.cn"]}}
    platform = build(config)
    with Server(platform_app(platform)) as server, httpx.Client(trust_env=False) as browser:
        browser.get(f"{server.url}/connect/as/zhang")
        back = browser.get(f"{server.url}/connect/oauth2/authorize", params=GOOD)
    query = parse_qs(urlsplit(back.headers["Location"]).query)
    assert query["state"] == ["s1"]
    assert platform.oauth.user_of(query["code"][0])["userid"] == "zhang"


def test_a_code_is_good_once() -> None:
    oauth = OAuth("wwcorp", 7, TRUSTED)
    code = oauth.new_code("zhang")
    assert [oauth.user_of(code)["errcode"] for _ in range(2)] == [0, 40029]


def test_a_code_is_good_for_five_minutes() -> None:
    now = [0.0]
    oauth = OAuth("wwcorp", 7, TRUSTED, clock=lambda: now[0])
    code = oauth.new_code("zhang")
    now[0] = 301
    assert oauth.user_of(code)["errcode"] == 40029


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({}, 0),
        ({"appid": "other"}, 40013),
        ({"agentid": "8"}, 40056),
        ({"response_type": "token"}, 40058),
        ({"scope": "all"}, 40058),
        ({"state": "a-b"}, 40058),
        ({"state": "a" * 129}, 40058),
        ({"redirect_uri": "https://evil.example/login"}, 50001),
        ({"redirect_uri": "https://bot.corp.cn.evil.example/"}, 50001),
    ],
)
def test_what_the_platform_refuses_it_says(change: dict[str, str], code: int) -> None:
    assert OAuth("wwcorp", 7, TRUSTED).refusal({**GOOD, **change})[0] == code


@pytest.mark.parametrize(
    "change",
    [
        {"card_type": "other"},
        {"main_title": {}},
        {"task_id": "t 1"},
        {"task_id": "t" * 129},
        {"button_list": []},
        {"button_list": [{"text": "+", "key": "k"}] * 7},
        {"button_list": [{"text": "+", "key": "k" * 1025}]},
    ],
)
def test_a_card_over_its_limits_is_refused(change: dict[str, object]) -> None:
    cards = Cards(CardLimits())
    assert cards.fault(CARD) == 0
    assert cards.fault({**CARD, **change}) == 40058


def test_a_press_changes_its_card_once_and_within_three_days() -> None:
    now = [0.0]
    cards = Cards(CardLimits(), clock=lambda: now[0])
    cards.send(CARD)
    codes = [dict(cards.press("zhang", "t-1", "like"))["ResponseCode"] for _ in range(2)]
    button = {"replace_name": "thanks"}
    assert [cards.change({"response_code": codes[0], "button": button}) for _ in range(2)] == [
        0,
        42045,
    ]
    now[0] = 72 * 3600 + 1
    assert cards.change({"response_code": codes[1], "button": button}) == 42045
