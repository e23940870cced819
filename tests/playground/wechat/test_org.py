"""The stand-in's contacts, trusted addresses and call limits, as a bot meets them over HTTP."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from playground.serving import Server
from playground.wechat.__main__ import build, platform_app
from playground.wechat.platform import Platform
from tests.playground.wechat.conftest import CONFIG
from tests.waiting import until

ORG = {
    "departments": {1: 0, 2: 1, 21: 2, 3: 1},
    "people": {"li": [21], "wang": [3], "zhang": [3]},
    "visible_departments": [2],
}


class Bot:
    """A caller with a good token."""

    def __init__(self, platform: Platform, url: str) -> None:
        self.platform = platform
        self.http = httpx.Client(base_url=url, trust_env=False)
        query = {"corpid": "wwcorp", "corpsecret": "s3cret"}
        self.token = self.http.get("/cgi-bin/gettoken", params=query).json()["access_token"]

    def get(self, path: str, **query: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.http.get(
            f"/cgi-bin/{path}", params={"access_token": self.token, **query}
        ).json()
        return answer

    def code(self, path: str, **query: str) -> int:
        return int(self.get(path, **query)["errcode"])

    def console(self, path: str, body: dict[str, Any]) -> httpx.Response:
        return self.http.post(f"/playground/{path}", json=body)


@pytest.fixture
def changes() -> dict[str, Any]:
    return {}


@pytest.fixture
def bot(changes: dict[str, Any]) -> Iterator[Bot]:
    platform = build(CONFIG | {"org": ORG, "visible": ["zhang"]} | changes)
    with Server(platform_app(platform)) as server:
        bot = Bot(platform, server.url)
        yield bot
        bot.http.close()


def test_a_person_in_sight_has_departments(bot: Bot) -> None:
    assert bot.get("user/get", userid="li")["department"] == [21]
    assert bot.get("user/get", userid="zhang")["department"] == [3]


@pytest.mark.parametrize(("user", "code"), [("wang", 60011), ("nobody", 60111), ("", 40003)])
def test_whom_an_app_cannot_see_it_cannot_get(bot: Bot, user: str, code: int) -> None:
    assert bot.code("user/get", userid=user) == code


def test_departments_in_sight_come_with_their_parents(bot: Bot) -> None:
    shown = bot.get("department/simplelist")["department_id"]
    assert [(one["id"], one["parentid"]) for one in shown] == [(2, 1), (21, 2)]


def test_an_app_is_told_who_sees_it(bot: Bot) -> None:
    agent = bot.get("agent/get", agentid="7")
    assert agent["allow_userinfos"] == {"user": [{"userid": "zhang"}]}
    assert agent["allow_partys"] == {"partyid": [2]}
    assert bot.code("agent/get", agentid="8") == 301002


@pytest.mark.parametrize("path", ["user/get", "department/simplelist", "agent/get", "menu/delete"])
def test_each_call_needs_a_token(bot: Bot, path: str) -> None:
    bot.token = "bad"
    assert bot.code(path) == 40014


def test_a_change_of_contacts_is_told_to_the_callback(bot: Bot, product: Any) -> None:
    bot.platform.courier.check_address(product.url)
    answer = bot.console("contacts", {"user": "li", "departments": [3]})
    assert answer.status_code == 200
    until(lambda: product.received)
    for part in ("change_contact", "update_user", "<UserID>li</UserID>", "<FromUserName>sys<"):
        assert part in product.received[0]
    assert bot.code("user/get", userid="li") == 60011


@pytest.mark.parametrize("body", [{}, {"user": "li", "department": 2}, {"users": "li"}])
def test_a_change_that_says_not_what_is_refused(bot: Bot, body: dict[str, Any]) -> None:
    assert bot.console("contacts", body).status_code == 400


@pytest.mark.parametrize(
    "changes", [{"trusted_ips": ["203.0.113.9"], "calls": {"trusted_after_s": 2.0}}]
)
def test_an_address_is_refused_by_name_until_it_is_saved_and_a_while_has_passed(bot: Bot) -> None:
    refused = bot.get("agent/get", agentid="7")
    assert refused["errcode"] == 60020
    assert "from ip: 127.0.0.1," in refused["errmsg"]
    bot.console("trusted_ips", {"ips": ["127.0.0.1"]})
    assert bot.code("agent/get", agentid="7") == 60020
    until(lambda: bot.code("agent/get", agentid="7") == 0)


@pytest.mark.parametrize("changes", [{"calls": {"calls_per_minute": 3, "blocked_s": 2.0}}])
def test_too_many_calls_of_one_route_block_that_route_for_a_while(bot: Bot) -> None:
    codes = [bot.code("agent/get", agentid="7") for _ in range(5)]
    assert codes == [0, 0, 0, 45009, 45009]
    assert bot.code("user/get", userid="li") == 0
    until(lambda: bot.code("agent/get", agentid="7") == 0)


def test_a_menu_can_be_taken_away(bot: Bot) -> None:
    bot.platform.api.menu = {"button": []}
    assert bot.code("menu/delete", agentid="8") == 301002
    assert bot.code("menu/delete", agentid="7") == 0
    assert bot.platform.api.menu == {}
