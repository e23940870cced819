"""Streams over the callback route, on a real ledger: they grow, end in one of two ways, and say the same again."""

import json
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from playground.wechat.bot.envelope import Envelope
from playground.wechat.crypto import Secrets
from tests.channel.conftest import AES_KEY
from tests.waiting import until
from tool_server.app import create_app
from tool_server.auth import Keys
from tool_server.channel import erase
from tool_server.channel.bot_checks import check_reached
from tool_server.channel.job import Job
from tool_server.channel.ledger import stream_id
from tool_server.channel.schema import messages, pictures
from tool_server.channel.services import Services
from tool_server.channel.streams import Stream
from tool_server.channel.surface import Picture
from tool_server.channel.surfaces import wecom_bot
from tool_server.channel.work import Work
from tool_server.migrate import migrate
from tool_server.settings import Settings

PLATFORM = Envelope(Secrets("thetoken", AES_KEY, ""))
ACCOUNT = {
    "surface": "wecom_bot",
    "token": "thetoken",
    "encoding_aes_key": AES_KEY,
    "dify_url": "http://127.0.0.1:9/v1",
    "dify_key": "app-secret",
}


@dataclass
class Bot:
    """The web's half over HTTP, and the worker's half by its own calls."""

    client: FlaskClient
    services: Services
    work: Work
    shown: list[str] = field(default_factory=list)

    def deliver(self, body: dict[str, Any]) -> TestResponse:
        request = PLATFORM.seal(body)
        self.request = request
        return self.client.post(
            "/channel/bot/callback", query_string=request.query, data=request.body
        )

    def opened(self, body: dict[str, Any]) -> dict[str, Any]:
        """What a delivery or refresh is answered with."""
        answer = self.deliver(body)
        assert (answer.status_code, answer.mimetype) == (200, "application/json")
        return dict(PLATFORM.open(self.request, answer.data)["stream"])

    def write(self, msg_id: str = "m1", **more: Any) -> dict[str, Any]:
        return self.opened(message(msg_id, **more))

    def refresh(self, msg_id: str = "m1") -> dict[str, Any]:
        name = stream_id(f"bot/aib/{msg_id}")
        return self.opened(message(msg_id, msgtype="stream", stream={"id": name}))

    def lease(self) -> Job:
        job = self.work.lease()
        assert job is not None
        return job

    def settle(self, job: Job, text: str) -> str:
        return self.work.settle(job, text, bodies=["body"], reply=None, dify="c")

    def row(self) -> Any:
        return self.services.database.read(lambda db: db.execute(sa.select(messages)).one())

    def change(self, **values: Any) -> None:
        self.services.database.write(lambda db: db.execute(sa.update(messages).values(**values)))

    def look(self, msg_id: str = "m1") -> Stream:
        found = self.services.streams.look("bot", stream_id(f"bot/aib/{msg_id}"))
        assert found is not None
        return found


def message(msg_id: str, **more: Any) -> dict[str, Any]:
    common = {"msgid": msg_id, "aibotid": "aib", "chattype": "single", "from": {"userid": "zhang"}}
    return {**common, "msgtype": "text", "text": {"content": "年假？"}, **more}


@pytest.fixture
def bot(settings: Settings) -> Iterator[Bot]:
    settings = settings.model_copy(update={"channel_stream_first_s": 0.0})
    migrate(settings)
    app = create_app(settings)
    client = app.test_client()
    headers = {"Authorization": f"Bearer {Keys.load(settings).secret('admin')}"}
    saved = client.put("/channel/accounts/bot", json=ACCOUNT, headers=headers)
    assert saved.status_code == 200
    services: Services = app.extensions["channel"]
    work = Work(services.database, "worker", lease_s=30, ticket_ttl_s=600)
    yield Bot(client, services, work)
    services.close()


def test_the_first_reply_shows_that_somebody_is_at_work(bot: Bot) -> None:
    first = bot.write()
    name = stream_id("bot/aib/m1")
    assert first == {
        "id": name,
        "finish": False,
        "content": "⏳ 正在思考…",
        "feedback": {"id": name},
    }


def test_a_stream_shows_what_the_worker_has_and_ends_with_the_answer(bot: Bot) -> None:
    bot.write()
    job = bot.lease()
    bot.work.show_all([(job, "年假")])
    assert bot.refresh()["content"] == "年假"
    assert bot.settle(job, "年假有 12 天。") == "stream"
    last = bot.refresh()
    assert (last["content"], last["finish"]) == ("年假有 12 天。", True)
    assert bot.row().state == "done"
    for _ in range(3):
        assert bot.refresh() == last
    assert bot.write()["content"] == last["content"]  # a late delivery of the message too
    assert bot.work.lease() is None


def heard(bot: Bot) -> str:
    account = bot.services.accounts.get("bot")
    assert account is not None
    (check,) = check_reached(bot.services.settings, bot.services.database, "bot", account)
    assert check.ok
    return check.advice


def test_the_doctor_tells_when_the_webhook_was_called_last(bot: Bot) -> None:
    assert "No message has come yet" in heard(bot)
    bot.write()
    assert "nobody has come for its stream" in heard(bot)
    bot.change(wait_until=time.time() + 40)
    bot.refresh()
    assert "the last refresh" in heard(bot)


def test_a_stream_ends_with_its_pictures_again_and_again(bot: Bot) -> None:
    bot.write()
    picture = Picture("图.png", "https://dify.corp.cn/files/1", b"\x89PNG\r\n\x1a\nrest")
    job = bot.lease()
    bot.work.show_all([(job, "见")])
    assert "msg_item" not in bot.refresh()
    bot.work.settle(job, "见图。", bodies=["b"], reply=None, dify="c", pictures=[picture])
    last = bot.refresh()
    assert [item["msgtype"] for item in last["msg_item"]] == ["image"]
    assert bot.refresh() == last
    erase.forget(bot.services.database, "bot", "zhang")
    found = sa.select(sa.func.count()).select_from(pictures)
    assert bot.services.database.read(lambda db: db.scalar(found)) == 0


def test_every_delivery_names_the_same_stream(bot: Bot) -> None:
    assert len({bot.write()["id"] for _ in range(3)}) == 1
    assert bot.row().connections == 3


def test_an_answer_that_is_there_already_comes_with_the_first_reply_of_a_new_delivery(
    bot: Bot,
) -> None:
    bot.write()
    bot.settle(bot.lease(), "schon da")
    again = bot.write()
    assert (again["content"], again["finish"]) == ("schon da", True)


def test_a_stream_that_is_not_the_accounts_is_refused(bot: Bot) -> None:
    bot.write()
    assert bot.deliver(message("m1", msgtype="stream", stream={"id": "other"})).status_code == 403
    bot.change(account="another")
    assert (
        bot.deliver(message("m1", msgtype="stream", stream={"id": bot_stream()})).status_code == 403
    )


def bot_stream() -> str:
    return stream_id("bot/aib/m1")


def test_a_worker_that_lost_its_message_shows_nothing_any_more(bot: Bot) -> None:
    bot.write()
    old = bot.lease()
    bot.work.take_from("worker")
    new = bot.lease()
    bot.work.show_all([(old, "alt"), (new, "neu")])
    bot.work.show_all([(old, "alt")])
    assert bot.refresh()["content"] == "neu"


def test_refreshes_keep_the_ledger_believing_with_few_writes(bot: Bot) -> None:
    bot.write()
    believed = bot.row().wait_until
    bot.refresh()
    assert bot.row().wait_until == believed
    bot.change(wait_until=time.time() + 5)
    bot.refresh()
    assert bot.row().wait_until > time.time() + 25


def test_an_answer_is_pushed_where_the_platform_has_gone_silent(bot: Bot) -> None:
    bot.write()
    job = bot.lease()
    bot.change(wait_until=time.time() - 1)
    assert bot.settle(job, "年假有 12 天。") == "push"
    assert [piece.body for piece in bot.work.pieces(job)] == ["body"]
    late = bot.refresh()
    assert late["finish"]
    assert "单独发给你" in late["content"]
    assert bot.refresh() == late


def test_an_answer_that_nobody_fetched_is_pushed_once_and_a_late_refresh_does_not_repeat_it(
    bot: Bot,
) -> None:
    bot.write()
    bot.settle(bot.lease(), "年假有 12 天。")
    bot.change(wait_until=time.time() - 30)
    (lost,) = bot.work.unfetched(time.time() - 20)
    assert bot.work.push_instead(lost.id, ["body"])
    assert not bot.work.push_instead(lost.id, ["body"])
    assert "12 天" not in bot.refresh()["content"]


def test_an_answer_that_was_fetched_is_never_pushed(bot: Bot) -> None:
    bot.write()
    bot.settle(bot.lease(), "年假有 12 天。")
    (lost,) = bot.work.unfetched(time.time() + 100)
    bot.refresh()
    assert not bot.work.push_instead(lost.id, ["body"])


def test_a_stream_is_closed_when_its_time_is_up_and_keeps_what_it_showed(bot: Bot) -> None:
    bot.write()
    job = bot.lease()
    bot.work.show_all([(job, "年假")])
    bot.change(received_at=time.time() - 1000)
    closed = bot.refresh()
    assert closed["finish"]
    assert closed["content"].startswith("年假\n\n（回答还没有写完")
    bot.work.show_all([(job, "年假有")])
    assert bot.refresh() == closed
    assert bot.settle(job, "年假有 12 天。") == "push"
    assert bot.refresh() == closed


def test_an_answer_comes_by_the_stream_as_long_as_it_is_asked_for_even_a_little_late(
    bot: Bot,
) -> None:
    bot.write()
    bot.settle(bot.lease(), "年假有 12 天。")
    bot.change(received_at=time.time() - 345)
    assert bot.refresh()["content"] == "年假有 12 天。"


def test_a_fetch_that_reached_nobody_leaves_the_answer_to_the_next(bot: Bot) -> None:
    bot.write()
    bot.settle(bot.lease(), "年假有 12 天。")
    stream = bot.look()
    fetched_at = bot.services.streams.fetch(stream)
    assert fetched_at is not None
    bot.services.streams.miss(stream, fetched_at)
    assert bot.row().state == "answered"
    assert bot.refresh()["finish"]
    bot.services.streams.miss(stream, fetched_at)  # too late: somebody has it
    assert bot.row().state == "done"


def test_only_one_of_answer_and_closing_wins(bot: Bot) -> None:
    bot.write()
    job, before = bot.lease(), bot.look()
    bot.settle(job, "年假有 12 天。")
    assert not bot.services.streams.hand_over(before, "zu")
    assert bot.refresh()["content"] == "年假有 12 天。"


def test_a_silent_event_is_acknowledged_with_nothing(bot: Bot) -> None:
    event = {"eventtype": "feedback_event", "feedback_event": {"id": "s", "type": 1}}
    answer = bot.deliver(message("e1", msgtype="event", event=event))
    assert (answer.status_code, answer.data) == (200, b"")
    assert (bot.row().kind, bot.row().event) == ("event", "feedback")
    assert json.loads(bot.row().data) == {"id": "s", "type": 1}


def test_a_welcome_comes_with_the_entrance(bot: Bot) -> None:
    account = bot.services.accounts.get("bot")
    assert account is not None
    entered = message("e2", msgtype="event", event={"eventtype": "enter_chat"})
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(bot.deliver, entered)
        job = until(bot.work.lease)
        reply = wecom_bot.seal_reply(account, job.address, "你好", now=time.time())
        assert bot.work.settle(job, "你好", bodies=["b"], reply=reply, dify="") == "passive"
        answer = waiting.result()
    shown = PLATFORM.open(bot.request, answer.data)
    assert shown == {"msgtype": "text", "text": {"content": "你好"}}


def test_a_bad_callback_is_refused_like_any_other(bot: Bot) -> None:
    request = PLATFORM.seal(message("m1"))
    query = {**request.query, "msg_signature": "0" * 40}
    answer = bot.client.post("/channel/bot/callback", query_string=query, data=request.body)
    assert answer.status_code == 403
    assert bot.client.post("/channel/bot/callback", data=b"\xff").status_code == 403


@pytest.mark.parametrize("seed", range(12))
def test_whatever_happens_in_whatever_order_a_stream_only_grows_and_ends_once(
    bot: Bot, seed: int
) -> None:
    """Worker, refreshes, lost worker, silence and sweeps in a random order; what is shown is checked at each step."""
    chance, text = random.Random(seed), "".join(f"第{n}句。" for n in range(40))
    shown = [bot.write()]
    job, at, settled = bot.lease(), 0, ""
    for _ in range(60):
        match chance.randrange(7):
            case 0 | 1 if not settled:
                at = min(len(text), at + chance.randrange(20))
                bot.work.show_all([(job, text[:at])] if at else [])
            case 2 | 3 | 4:
                shown.append(bot.refresh() if chance.random() < 0.8 else bot.write())
            case 5 if not settled and chance.random() < 0.3:
                bot.work.take_from("worker")
                job = bot.lease()
            case 6 if not settled and chance.random() < 0.2:
                bot.change(wait_until=time.time() + chance.choice((-1, 30)))
                settled = bot.settle(job, text)
            case 6 if settled == "stream" and chance.random() < 0.3:
                for lost in bot.work.unfetched(time.time() + 1000):
                    settled = "push" if bot.work.push_instead(lost.id, ["body"]) else settled
            case 6 if chance.random() < 0.1:
                bot.change(received_at=time.time() - 1000)
    settled = settled or bot.settle(job, text)
    shown += [bot.refresh(), bot.refresh()]
    contents = ["" if s["content"].startswith("⏳") else s["content"] for s in shown]
    assert all(b.startswith(a) for a, b in pairwise(contents)), seed
    ends = [s["content"] for s in shown if s["finish"]]
    assert len(set(ends)) == 1, seed
    pushed = bot.row().mode == "push"
    assert (ends[-1] == text) != pushed, seed
    assert shown[-1]["finish"]
