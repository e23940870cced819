"""The bot by webhook: encrypted JSON both ways, streams that are polled, one active reply, thumbs, its limits."""

import base64
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from flask import Flask, Response, request

from playground.serving import Server
from playground.wechat.__main__ import build, serve_platform
from playground.wechat.bot.bot import PICTURE, Bot, InInteraction
from playground.wechat.bot.message import Written
from playground.wechat.crypto import Secrets, decrypt, encrypt, signature
from playground.wechat.platform import Platform
from tests.playground.wechat.conftest import CONFIG
from tests.waiting import until, wait_for

SECRETS = Secrets("bottoken", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG", "")


@dataclass
class BotProduct:
    """A small bot: answers each callback as a test says; remembers what it was asked."""

    answer: Callable[[dict[str, Any]], Any] = field(default=lambda _body: None)
    received: list[dict[str, Any]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    url: str = ""

    def app(self) -> Flask:
        app = Flask("bot_product")

        @app.get("/callback")
        def check() -> str:
            return decrypt(SECRETS, request.args["echostr"])

        @app.post("/callback")
        def callback() -> Response:
            self.bodies.append(request.get_data())
            body = json.loads(decrypt(SECRETS, request.get_json()["encrypt"]))
            self.received.append(body)
            answer = self.answer(body)
            if answer is None or isinstance(answer, Response):
                return answer or Response("")
            return Response(sealed(answer, nonce=request.args["nonce"]))

        return app

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        return [body for body in self.received if body["msgtype"] == kind]


def sealed(answer: Any, *, nonce: str, secrets: Secrets = SECRETS, **changed: Any) -> str:
    encrypted = encrypt(secrets, json.dumps(answer))
    outer = {
        "encrypt": encrypted,
        "msgsignature": signature(secrets, "7", nonce, encrypted),
        "timestamp": 7,
        "nonce": nonce,
    }
    return json.dumps(outer | changed)


def stream(content: str, *, finish: bool = False, name: str = "s1", **more: Any) -> dict[str, Any]:
    return {
        "msgtype": "stream",
        "stream": {"id": name, "content": content, "finish": finish, **more},
    }


def growing(*contents: str, name: str = "s1") -> Callable[[dict[str, Any]], Any]:
    """Says more with each callback; the last content is the end."""
    left = list(contents)

    def answer(_body: dict[str, Any]) -> dict[str, Any]:
        content = left.pop(0) if len(left) > 1 else left[0]
        return stream(content, finish=content == contents[-1], name=name)

    return answer


@pytest.fixture
def product() -> Iterator[BotProduct]:
    product = BotProduct()
    with Server(product.app()) as server:
        product.url = f"{server.url}/callback"
        yield product


Make = Callable[..., Platform]


@pytest.fixture
def make(product: BotProduct) -> Iterator[Make]:
    """Makes a platform with a bot whose limits and settings a test changes."""
    servers: list[Server] = []

    def make(limits: dict[str, Any] | None = None, **changed: Any) -> Platform:
        quick = {"refresh_s": 0.02, "gap_s": 0.05, **(limits or {})}
        config = {"token": SECRETS.token, "encoding_aes_key": SECRETS.aes_key, "limits": quick}
        platform = build({**CONFIG, "bot": config | changed})
        servers.append(serve_platform(platform))
        assert platform.bot is not None
        assert platform.bot.courier.check_address(product.url).ok
        return platform

    yield make
    for server in servers:
        server.close()


@pytest.fixture
def platform(make: Make) -> Platform:
    return make()


@pytest.fixture
def bot(platform: Platform) -> Bot:
    return bot_of(platform)


def bot_of(platform: Platform) -> Bot:
    assert platform.bot is not None
    return platform.bot


def texts(platform: Platform, user: str = "zhang") -> list[str]:
    return [entry["text"] for entry in platform.ledger.seen(user)]


def test_a_stream_is_polled_until_it_is_finished(
    platform: Platform, bot: Bot, product: BotProduct
) -> None:
    product.answer = growing("⏳ …", "年假", "年假有 12 天。")
    msg_id = bot.write(Written("zhang", "年假有几天？"))
    wait_for(lambda: texts(platform) == ["年假有 12 天。"])
    wait_for(lambda: platform.ledger.seen("zhang")[0]["finish"])
    time.sleep(0.1)
    first, *refreshes = product.received
    assert first["text"] == {"content": "年假有几天？"}
    assert (first["msgid"], first["chattype"], "chatid" in first) == (msg_id, "single", False)
    assert [body["stream"] for body in refreshes] == [{"id": "s1"}] * 2
    assert platform.ledger.counts["stream_shrunk"] == 0


def test_a_stream_without_end_is_given_up_after_its_time(make: Make, product: BotProduct) -> None:
    platform = make({"stream_s": 0.3})
    product.answer = lambda _body: stream("immer noch")
    bot_of(platform).write(Written("zhang", "?"))
    wait_for(lambda: platform.ledger.counts["stream_ended"])
    asked = len(product.received)
    time.sleep(0.15)
    assert len(product.received) == asked
    assert not platform.ledger.seen("zhang")[0]["finish"]


def test_refreshes_meet_their_fates_and_the_bubble_still_ends(
    make: Make, product: BotProduct
) -> None:
    shares = dict.fromkeys(("lost", "answer_lost", "doubled", "swapped", "after_finish"), 0.3)
    platform = make(chances={"seed": 7, **shares})
    contents = [f"{'字' * number}" for number in range(1, 30)]
    for number in range(8):
        product.answer = growing(*contents, name=f"s{number}")
        bot_of(platform).write(Written(f"user{number}", "?"))
        wait_for(lambda at=number: texts(platform, f"user{at}") == [contents[-1]])  # type: ignore[misc]
    counts = platform.ledger.counts
    for name in ("lost", "answer_lost", "doubled", "swapped"):
        assert counts[f"refresh_{name}"] > 0, name
    assert counts["stream_shrunk"] == counts["stream_refused"] == 0


def test_the_same_seed_gives_the_same_fates(make: Make, product: BotProduct) -> None:
    fates: list[int] = []
    for _ in range(2):
        platform = make(chances={"seed": 3, "lost": 0.5})
        product.answer = growing(*(f"{'a' * n}" for n in range(1, 20)), name=f"s{len(fates)}")
        bot_of(platform).write(Written("zhang", "?"))
        wait_for(lambda at=platform: at.ledger.seen("zhang")[0]["finish"] if texts(at) else False)  # type: ignore[misc]
        fates.append(platform.ledger.counts["refresh_lost"])
    assert fates[0] == fates[1] > 0


def test_a_failed_callback_comes_again_with_its_msgid(
    platform: Platform, bot: Bot, product: BotProduct
) -> None:
    answers = iter([Response(status=503), Response(status=500), stream("ja", finish=True)])
    product.answer = lambda _body: next(answers)
    msg_id = bot.write(Written("zhang", "?"))
    wait_for(lambda: texts(platform) == ["ja"])
    assert [body["msgid"] for body in product.received] == [msg_id] * 3


def test_copies_with_one_stream_are_one_bubble_and_a_second_stream_is_counted(
    platform: Platform, bot: Bot, product: BotProduct
) -> None:
    product.answer = lambda _body: stream("ja", finish=True)
    msg_id = bot.write(Written("zhang", "?"), copies=5)
    wait_for(lambda: platform.ledger.counts["duplicate_passive"] == 4)
    product.answer = lambda _body: stream("nein", finish=True, name="s2")
    bot.replay(msg_id, 1)
    wait_for(lambda: platform.ledger.counts["stream_second"])
    assert texts(platform) == ["ja"]


def test_a_fourth_message_in_interaction_is_not_taken(
    platform: Platform, bot: Bot, product: BotProduct
) -> None:
    product.answer = lambda body: stream("…", name=body["msgid"])
    for number in range(3):
        bot.write(Written("zhang", str(number)))
    with pytest.raises(InInteraction):
        bot.write(Written("zhang", "zu viel"))
    bot.write(Written("li", "geht"))
    product.answer = lambda body: stream(
        "…!", finish=True, name=body.get("stream", {}).get("id") or body["msgid"]
    )
    wait_for(lambda: platform.ledger.counts["shown"] == 4)
    until(lambda: _taken(bot))
    assert platform.ledger.counts["interaction_full"] >= 1


def _taken(bot: Bot) -> bool:
    try:
        return bool(bot.write(Written("zhang", "wieder")))
    except InInteraction:
        return False


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (stream("x" * 20481), "too long"),
        (stream("x", name=""), "the stream has no id"),
        ({"msgtype": "text", "text": {"content": "x"}}, "text takes no text"),
        ({"msgtype": "stream", "stream": {"id": "a", "finish": 1}}, "finish is no boolean"),
        (stream("x", feedback={"id": "f" * 257}), "feedback.id is empty or too long"),
        (stream("x", msg_item=[]), "msg_item before the finish"),
        (stream("x", finish=True, msg_item=[{}] * 11), "msg_item is no list, or too long"),
        (stream("x", finish=True, msg_item=[{}]), "msg_item holds what is no picture"),
        ([], "the reply is no object"),
    ],
)
def test_a_reply_that_is_not_right_is_not_shown(
    platform: Platform, bot: Bot, product: BotProduct, wrong: Any, reason: str
) -> None:
    product.answer = lambda _body: wrong
    bot.write(Written("zhang", "?"))
    wait_for(lambda: platform.ledger.counts["invalid"])
    assert platform.ledger.deliveries()[0]["reason"] == reason
    assert texts(platform) == []


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"nonce": "another"}, "another nonce than the request's"),
        ({"timestamp": "7"}, "timestamp is no integer"),
        ({"msgsignature": "0" * 40}, "signature"),
        ({"secrets": Secrets(SECRETS.token, SECRETS.aes_key, "ww1")}, "receive id"),
    ],
)
def test_an_envelope_that_is_not_right_is_not_shown(
    platform: Platform, bot: Bot, product: BotProduct, changed: dict[str, Any], reason: str
) -> None:
    changed = {**changed}
    nonce = changed.pop("nonce", "")
    product.answer = lambda _body: Response(
        sealed(stream("x"), **{"nonce": nonce or request.args["nonce"], **changed})
    )
    bot.write(Written("zhang", "?"))
    wait_for(lambda: platform.ledger.counts["invalid"])
    assert platform.ledger.deliveries()[0]["reason"] == reason


def test_pictures_come_with_the_finish(platform: Platform, bot: Bot, product: BotProduct) -> None:
    image = {
        "base64": base64.b64encode(PICTURE).decode(),
        "md5": hashlib.md5(PICTURE).hexdigest(),
    }
    item = [{"msgtype": "image", "image": image}]
    product.answer = lambda _body: stream("bild", finish=True, msg_item=item)
    bot.write(Written("zhang", "?"))
    wait_for(lambda: texts(platform) == ["bild"])
    (entry,) = platform.ledger.seen("zhang")
    assert entry["pictures"] == (image["md5"],)


def test_the_active_reply_is_taken_once_and_in_time(make: Make, product: BotProduct) -> None:
    platform = make({"response_url_s": 3.0})
    bot = bot_of(platform)
    for question in ("eins", "zwei"):
        bot.write(Written("zhang", question, chat="g1"))
    wait_for(lambda: len(product.received) == 2)
    first, second = (body["response_url"] for body in product.received)
    markdown = {"msgtype": "markdown", "markdown": {"content": "nachgereicht"}}
    assert httpx.post(first, json=markdown).json()["errcode"] == 0
    assert httpx.post(first, json=markdown).json()["errcode"] != 0
    too_long = {"msgtype": "markdown", "markdown": {"content": "x" * 20481}}
    assert httpx.post(second, json=too_long).json()["errcode"] == 45002
    time.sleep(3.1)
    assert httpx.post(second, json=markdown).json()["errcode"] != 0
    (entry,) = platform.ledger.seen("zhang")
    assert (entry["text"], entry["chat"], entry["source"]) == ("nachgereicht", "g1", "push")
    counts = platform.ledger.counts
    assert (counts["active_used"], counts["active_expired"]) == (1, 1)


@pytest.mark.parametrize("kind", ["image", "file", "video"])
def test_media_come_as_encrypted_bytes_behind_an_address(
    platform: Platform, bot: Bot, product: BotProduct, kind: str
) -> None:
    bot.write(Written("zhang", "", kind=kind))
    wait_for(lambda: product.received)
    data = httpx.get(product.received[0][kind]["url"])
    assert data.status_code == 200
    assert len(data.content) % 32 == 0
    assert PICTURE not in data.content


def test_a_group_message_names_the_bot_and_its_chat(
    platform: Platform, bot: Bot, product: BotProduct
) -> None:
    bot.write(Written("zhang", "几天？", chat="g1", quote="年假"))
    wait_for(lambda: product.received)
    (body,) = product.received
    assert (body["chattype"], body["chatid"]) == ("group", "g1")
    assert body["text"] == {"content": "@深桥助手 几天？"}
    assert body["quote"] == {"msgtype": "text", "text": {"content": "年假"}}


@pytest.mark.parametrize("flat", [False, True])
def test_a_thumb_names_the_answers_feedback_id(make: Make, product: BotProduct, flat: bool) -> None:
    platform = make(flat_events=flat)
    bot = bot_of(platform)
    product.answer = lambda _body: stream("ja", finish=True, feedback={"id": "fb-1"})
    msg_id = bot.write(Written("zhang", "?"))
    wait_for(lambda: texts(platform))
    product.answer = lambda _body: None
    assert bot.press(msg_id, 2, "falsch", [1])
    wait_for(lambda: product.of_kind("event"))
    event = product.of_kind("event")[0]["event"]
    assert event["eventtype"] == "feedback_event"
    data = event if flat else event["feedback_event"]
    assert (data["id"], data["type"], data["inaccurate_reason_list"]) == ("fb-1", 2, [1])
    assert bot.press("unknown", 1, "", []) is None


@pytest.mark.parametrize(
    ("event", "answer", "shown"),
    [
        ("enter_chat", {"msgtype": "text", "text": {"content": "hallo"}}, ["hallo"]),
        ("enter_chat", stream("hallo"), []),
        ("template_card_event", {"msgtype": "text", "text": {"content": "hallo"}}, []),
    ],
)
def test_only_an_entrance_takes_a_text(
    platform: Platform, bot: Bot, product: BotProduct, event: str, answer: Any, shown: list[str]
) -> None:
    product.answer = lambda _body: answer
    bot.happen("zhang", event, {})
    wait_for(lambda: platform.ledger.deliveries())
    assert texts(platform) == shown


def test_a_cards_event_takes_its_update(platform: Platform, bot: Bot, product: BotProduct) -> None:
    card = {"card_type": "text_notice", "main_title": {"title": "erledigt"}}
    product.answer = lambda _body: {
        "response_type": "update_template_card",
        "template_card": card,
    }
    bot.happen("zhang", "template_card_event", {"event_key": "k", "task_id": "t"})
    wait_for(lambda: platform.ledger.counts["card_updated"])


def test_everything_is_there_over_http_too(platform: Platform, product: BotProduct) -> None:
    product.answer = lambda _body: stream("ja", finish=True, feedback={"id": "fb"})
    base = f"{bot_of(platform).base_url}/playground"
    with httpx.Client(base_url=base, trust_env=False) as api:
        assert api.post("/bot/callback_url", json={"callback_url": product.url}).json()["ok"]
        body = {"user": "zhang", "text": "?", "chat": "g1"}
        msg_id = api.post("/bot/messages", json=body).json()["msg_id"]
        wait_for(lambda: texts(platform) == ["ja"])
        assert api.get("/bot/refreshes", params={"msg_id": msg_id}).json()["stream"] == "s1"
        assert api.post("/bot/replay", json={"msg_id": msg_id}).status_code == 200
        thumb = {"msg_id": msg_id, "type": 1}
        assert api.post("/bot/feedback", json=thumb).status_code == 200
        assert api.post("/bot/feedback", json={**thumb, "msg_id": "x"}).status_code == 404
        entered = {"user": "zhang", "event": "enter_chat"}
        assert api.post("/bot/events", json=entered).status_code == 200
        in_group = {"user": "li", "kind": "voice", "chat": "g1"}
        assert api.post("/bot/messages", json=in_group).status_code == 400
