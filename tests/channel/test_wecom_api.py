"""The WeCom API's client against the platform stand-in: tokens, retries, what it makes of errors."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask

from playground.serving import Server
from playground.wechat.__main__ import build
from playground.wechat.faults import Fault
from playground.wechat.platform import Platform
from playground.wechat.routes import api_blueprint
from tests.channel.conftest import AES_KEY, make_account
from tool_server.channel.surface import Address, Text
from tool_server.channel.surfaces import wecom_app
from tool_server.channel.wecom_api import SendError, WeComApi

ACCOUNT = make_account(agent_id=7)


@pytest.fixture
def platform() -> Platform:
    return build(
        {
            "corp_id": "wwcorp",
            "agent_id": 7,
            "secret": "the-secret",
            "token": "thetoken",
            "encoding_aes_key": AES_KEY,
            "visible": ["zhang"],
        }
    )


@pytest.fixture
def api(platform: Platform) -> Iterator[WeComApi]:
    app = Flask("platform")
    app.register_blueprint(api_blueprint(platform))
    with Server(app) as server:
        api = WeComApi(server.url, timeout_s=2)
        yield api
        api.close()


def body(text: str = "你好", user: str = "zhang", number: int = 1) -> str:
    (one,) = wecom_app.bodies(ACCOUNT, Address(user), [Text(text)], message_id=number)
    return one


def calls(platform: Platform, path: str) -> list[int]:
    return [call["errcode"] for call in platform.ledger.calls() if call["path"].endswith(path)]


def test_a_hundred_threads_ask_for_one_token(platform: Platform, api: WeComApi) -> None:
    with ThreadPoolExecutor(50) as pool:
        tokens = list(pool.map(lambda _: api.token(ACCOUNT), range(100)))
    assert len(set(tokens)) == 1
    assert len(calls(platform, "gettoken")) == 1


def test_a_token_that_ended_early_is_renewed_once(platform: Platform, api: WeComApi) -> None:
    wecom_app.send(api, ACCOUNT, body("eins"))
    platform.api.forget_token()
    wecom_app.send(api, ACCOUNT, body("zwei"))
    assert calls(platform, "send") == [0, 40014, 0]
    assert [entry["text"] for entry in platform.ledger.seen("zhang")] == ["eins", "zwei"]


def test_a_token_fault_that_stays_costs_two_calls_and_no_more(
    platform: Platform, api: WeComApi
) -> None:
    platform.api.script(Fault("message/send", "errcode", 10, code=40014))
    with pytest.raises(SendError) as caught:
        wecom_app.send(api, ACCOUNT, body())
    assert caught.value.code == 40014
    assert calls(platform, "send") == [40014, 40014]
    assert len(calls(platform, "gettoken")) == 2


@pytest.mark.parametrize(
    ("code", "again"), [(-1, True), (45009, True), (81013, False), (60020, False)]
)
def test_an_error_says_whether_another_try_helps(
    platform: Platform, api: WeComApi, code: int, again: bool
) -> None:
    platform.api.script(Fault("message/send", "errcode", 4, code=code))
    with pytest.raises(SendError) as caught:
        wecom_app.send(api, ACCOUNT, body())
    assert (caught.value.code, caught.value.again_in_s is not None) == (code, again)


@pytest.mark.parametrize("fault", ["http_500", "broken_json", "slow_after"])
def test_an_answer_that_cannot_be_read_may_be_tried_again_with_the_same_bytes(
    platform: Platform, api: WeComApi, fault: str
) -> None:
    platform.api.script(Fault("message/send", fault, 1, seconds=3))
    with pytest.raises(SendError) as caught:
        wecom_app.send(api, ACCOUNT, body())
    assert caught.value.again_in_s is not None
    wecom_app.send(api, ACCOUNT, body())
    assert len(platform.ledger.seen("zhang")) == 1


def test_two_messages_with_one_text_are_both_shown(platform: Platform, api: WeComApi) -> None:
    wecom_app.send(api, ACCOUNT, body("我不知道。", number=1))
    wecom_app.send(api, ACCOUNT, body("我不知道。", number=2))
    assert len(platform.ledger.seen("zhang")) == 2


def test_a_platform_that_is_away_may_be_tried_again() -> None:
    api = WeComApi("http://127.0.0.1:9", timeout_s=1)
    with pytest.raises(SendError) as caught:
        api.token(ACCOUNT)
    assert caught.value.again_in_s is not None
    api.close()


def test_a_file_goes_up_and_comes_back_within_its_bound(platform: Platform, api: WeComApi) -> None:
    picture = b"\xff\xd8\xff" + bytes(5000)
    media_id = api.upload(ACCOUNT, "image", "p.jpg", picture)
    down = api.download(ACCOUNT, media_id, limit=6000)
    assert (down.data, down.name) == (picture, "p.jpg")
    with pytest.raises(SendError) as caught:
        api.download(ACCOUNT, media_id, limit=4000)
    assert (caught.value.code, caught.value.again_in_s) == (45001, None)


def test_a_file_that_is_gone_is_an_error_and_not_a_file(platform: Platform, api: WeComApi) -> None:
    with pytest.raises(SendError) as caught:
        api.download(ACCOUNT, "nowhere", limit=6000)
    assert caught.value.code == 40007
