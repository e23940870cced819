"""The apps that belong to a surface, through that surface: the AI bot, customer service, pictures in a WeCom app."""

import base64
import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from playground.stage import ACCOUNT, CORP_ID, Plan, Stage, open_stage
from tests.playground.dify.apps import APP_KEY, OTHER, App, Apps, ScriptedServer
from tests.reliability import kf
from tests.reliability.kf import Customers
from tests.waiting import until, wait_for

pytestmark = pytest.mark.thorough
PNG = b"\x89PNG\r\n\x1a\n" + b"pixels" * 20
TOKEN = secrets.token_hex(16)
SEEING = {
    "nodes": {
        "look": {
            "model": {"provider": OTHER, "name": "sees", "mode": "chat", "completion_params": {}}
        }
    },
    "environment": {"model_can_see": "yes"},
}


@pytest.fixture(scope="module")
def scripted() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


@pytest.fixture(scope="module")
def apps(scripted: ScriptedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apps]:
    with Apps(scripted.url, tmp_path_factory.mktemp("logs")) as apps:
        yield apps


@pytest.fixture(scope="module")
def stage(apps: Apps, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The channel alone: knowledge and model are the script's. The AI bot asks the streaming app."""
    service = {"accounts": {kf.OPEN_KFID: "Help"}, "token": TOKEN, "encoding_aes_key": kf.AES_KEY}
    plan = Plan(
        tmp_path_factory.mktemp("stage"),
        model=False,
        knowledge=False,
        dify_url=apps.open("streaming_assistant").url,
        dify_key=APP_KEY,
        bot={"limits": {"refresh_s": 0.15, "gap_s": 1.0, "in_interaction": 3}},
        wechat={"gap_s": 0.3, "kf": service},
    )
    with open_stage(plan) as stage:
        stage.wait_ready()
        yield stage


@pytest.fixture(autouse=True)
def _reset(scripted: ScriptedServer) -> Iterator[None]:
    scripted.reset()
    yield
    scripted.reset()


def save(stage: Stage, name: str, app: App, **values: Any) -> None:
    account = {"corp_id": CORP_ID, "dify_url": app.url, "dify_key": APP_KEY, **values}
    admin = {"Authorization": f"Bearer {stage.key('admin')}"}
    url = f"{stage.server_url}/channel/accounts/{name}"
    stage.http.put(url, json=account, headers=admin).raise_for_status()


@pytest.fixture
def customers(stage: Stage, apps: Apps) -> Customers:
    save(
        stage,
        kf.ACCOUNT,
        apps.open("human_handover"),
        surface="wecom_kf",
        secret=stage.secrets["secret"],
        token=TOKEN,
        encoding_aes_key=kf.AES_KEY,
        ai_label=False,
    )
    customers = Customers(stage)
    address = f"{stage.server_url}/channel/{kf.ACCOUNT}/callback"
    assert customers._post("callback_url", callback_url=address)["ok"]
    return customers


def bubble(stage: Stage, user: str) -> dict[str, Any]:
    """What a person's phone shows of the bot's answer now."""
    return next(iter(stage.seen(user)), {"text": "", "finish": False})


def test_the_ai_bot_shows_what_is_done_then_the_text_as_it_is_written(
    stage: Stage, scripted: ScriptedServer
) -> None:
    user = "streams"
    scripted.deltas = [{"content": "年假是每年，"}, {"content": "12 天。"}]
    scripted.slow_s = 4.0
    scripted.go_on.clear()
    stage.send_bot(user, "年假几天？")
    until(lambda: "正在检索资料" in bubble(stage, user)["text"])
    until(lambda: "年假是每年" in bubble(stage, user)["text"])
    assert not bubble(stage, user)["finish"]
    scripted.go_on.set()
    until(lambda: bubble(stage, user)["finish"])
    assert bubble(stage, user)["text"].startswith("年假是每年，12 天。")
    assert "员工手册 › 年假" in bubble(stage, user)["text"]


def test_a_customer_whom_the_documents_cannot_help_gets_a_colleague(
    customers: Customers, scripted: ScriptedServer
) -> None:
    customers.settled(customers.say("helped", "年假几天？"))
    assert customers.read("helped")[0].startswith("12 天")
    scripted.found = False
    customers.settled(customers.say("lost", "能送货吗？"))
    (said,) = customers.read("lost")
    assert said.startswith("抱歉，这个问题我回答不了，正在为您转接人工服务。")
    assert "[[" not in said
    # 2 is the pool of those who wait, 3 a colleague.
    assert customers.sessions()["lost"] in (2, 3)
    customers.settled(customers.say("lost", "hallo?"))
    assert customers.read("lost") == [said]


def test_a_picture_and_the_question_behind_it_are_answered_together(
    stage: Stage, apps: Apps, scripted: ScriptedServer
) -> None:
    user = "pictures"
    app = apps.open("picture_and_voice", SEEING)
    save(stage, ACCOUNT, app, surface="wecom_app", **stage.secrets)
    scripted.scripts = ["VPN 报错 691 怎么办？", "找信息部。"]
    data = base64.b64encode(PNG).decode()
    stage.send(user, "", kind="image", file=data, file_name="a.png")
    wait_for(lambda: stage.seen(user))
    stage.send(user, "怎么办？")
    wait_for(lambda: len(stage.seen(user)) > 1)
    assert stage.seen(user)[1]["text"].startswith("找信息部。")
    assert base64.b64encode(PNG).decode() in str(scripted.chats[0]["messages"])
    assert scripted.searches[-1]["query"] == "VPN 报错 691 怎么办？"
    assert scripted.searches[-1]["ticket"]
