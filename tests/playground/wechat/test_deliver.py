"""Deliveries are as hard as the real platform's: the cut, new deliveries, what a reply must be to be shown."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from flask import Response

from playground.wechat.crypto import Secrets
from playground.wechat.message import KINDS
from playground.wechat.platform import Platform
from tests.playground.wechat.conftest import Make, Product, texts
from tests.waiting import wait_for


def outcomes(platform: Platform, msg_id: str = "") -> list[str]:
    return [delivery["outcome"] for delivery in platform.ledger.deliveries(msg_id)]


@pytest.fixture
def trickle() -> Iterator[str]:
    """A server that answers a byte every 100 ms, for ever."""
    listener = socket.create_server(("127.0.0.1", 0))

    def drip(connection: socket.socket) -> None:
        with closing(connection):
            connection.recv(65536)
            try:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
                while True:
                    connection.sendall(b"x")
                    time.sleep(0.1)
            except OSError:
                return

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=drip, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/callback"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def test_a_passive_reply_is_shown_and_cut_at_2048_bytes(
    platform: Platform, product: Product
) -> None:
    product.answer = lambda _xml: product.reply("汉" * 1000)
    msg_id = platform.write("zhang", "你好")
    wait_for(lambda: texts(platform))
    (entry,) = platform.ledger.seen("zhang")
    assert entry["text"] == "汉" * 682
    assert (entry["source"], entry["msg_id"], entry["bytes"]) == ("passive", msg_id, 2046)
    assert "<Content>你好</Content>" in product.received[0]


@pytest.mark.parametrize("body", ["", "success", "\n"])
def test_an_empty_200_ends_the_deliveries_and_shows_nothing(
    platform: Platform, product: Product, body: str
) -> None:
    product.answer = lambda _xml: Response(body)
    platform.write("zhang", "你好")
    wait_for(lambda: platform.ledger.counts["empty"])
    time.sleep(0.2)
    assert outcomes(platform) == ["empty"]
    assert texts(platform) == []


@pytest.mark.parametrize("deliveries", [3, 4])
def test_a_failure_is_delivered_again_with_one_message_id(
    make: Make, product: Product, deliveries: int
) -> None:
    platform = make(deliveries=deliveries)
    product.answer = lambda _xml: Response(status=500)
    msg_id = platform.write("zhang", "你好")
    wait_for(lambda: platform.ledger.counts["given_up"])
    assert outcomes(platform, msg_id) == ["failed"] * deliveries
    assert all(msg_id in xml for xml in product.received)


@pytest.mark.parametrize(("fresh", "different"), [(True, 3), (False, 1)])
def test_a_new_delivery_has_new_bytes_or_the_same_by_setting(
    make: Make, product: Product, fresh: bool, different: int
) -> None:
    product.answer = lambda _xml: Response(status=503)
    platform = make(fresh=fresh)
    platform.write("zhang", "你好")
    wait_for(lambda: platform.ledger.counts["given_up"])
    assert len(set(product.bodies)) == different
    assert len({query["nonce"] for query in product.queries}) == different


def test_a_late_duplicate_of_the_same_bytes_is_a_replay(make: Make, product: Product) -> None:
    platform = make(fresh=False)
    msg_id = platform.write("zhang", "你好")
    wait_for(lambda: platform.ledger.counts["empty"] == 1)
    assert platform.replay(msg_id, 2)
    wait_for(lambda: platform.ledger.counts["empty"] == 3)
    assert len(set(product.bodies)) == 1
    assert not platform.replay("7000000000000000000", 1)


@pytest.mark.quiet
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


@pytest.mark.quiet
def test_an_answer_that_trickles_is_cut_in_time_too(make: Make, trickle: str) -> None:
    platform = make(callback_s=0.5, deliveries=1)
    platform.courier.callback_url = trickle
    platform.write("zhang", "你好")
    wait_for(lambda: platform.ledger.counts["given_up"])
    (delivery,) = platform.ledger.deliveries()
    assert delivery["outcome"] == "cut"
    assert 0.45 < delivery["seconds"] < 1.5


def test_a_product_that_is_away_is_a_failure_that_says_so(make: Make) -> None:
    platform = make(deliveries=1)
    platform.courier.callback_url = "http://127.0.0.1:9/callback"
    platform.write("zhang", "你好")
    wait_for(lambda: platform.ledger.counts["given_up"])
    assert platform.ledger.deliveries()[0]["reason"] == "ConnectionRefusedError"


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (lambda product: product.reply("x", ToUserName="somebody"), "not to the sender"),
        (lambda product: product.reply("x", FromUserName="other"), "not from this corp"),
        (lambda product: product.reply("x", MsgType="poem"), "not a text with its time"),
        (lambda product: product.reply("x", CreateTime=""), "not a text with its time"),
        (
            lambda product: product.reply("x", secrets=Secrets("t", "A" * 43, "wwcorp")),
            "signature",
        ),
        (lambda _product: Response("<xml><Encrypt>a</Encrypt>"), "not XML"),
        (lambda _product: Response("<xml><Encrypt>a</Encrypt></xml>"), "no 'MsgSignature'"),
        (lambda _product: Response("hello"), "not XML"),
    ],
)
def test_a_reply_that_is_not_right_is_not_shown(
    platform: Platform, product: Product, wrong: Callable[[Product], Response], reason: str
) -> None:
    product.answer = lambda _xml: wrong(product)
    platform.write("zhang", "你好")
    wait_for(lambda: platform.ledger.counts["invalid"])
    assert platform.ledger.deliveries()[0]["reason"] == reason
    assert texts(platform) == []


def test_a_reply_for_another_corp_is_not_shown(platform: Platform, product: Product) -> None:
    ours = product.reply("x").get_data(as_text=True)
    foreign = Secrets("thetoken", "R/azTixs1CVSRo/fDJP5i4DORZC8RTls1fExFZ3+zSc", "wwother")
    theirs = product.reply("x", secrets=foreign).get_data(as_text=True)
    product.answer = lambda _xml: Response(theirs)
    platform.write("zhang", "你好")
    wait_for(lambda: platform.ledger.counts["invalid"])
    assert ours != theirs
    assert platform.ledger.deliveries()[0]["reason"] == "receive id"


def test_a_second_passive_reply_to_one_message_is_counted_and_not_shown(
    platform: Platform, product: Product
) -> None:
    product.answer = lambda _xml: product.reply("einmal")
    platform.write("zhang", "你好", copies=20)
    wait_for(lambda: platform.ledger.counts["duplicate_passive"] == 19)
    assert texts(platform) == ["einmal"]
    assert platform.ledger.counts["shown"] == 1


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_has_its_fields_and_only_messages_have_an_id(
    platform: Platform, product: Product, kind: str
) -> None:
    msg_id = platform.write("zhang", "你好", kind=kind)
    wait_for(lambda: product.received)
    (xml,) = product.received
    message = platform.message(msg_id)
    assert message is not None
    assert all(f"<{name}>" in xml or f"<{name} />" in xml for name in message.fields())
    assert (msg_id in xml) != message.is_event


@pytest.mark.parametrize(("kind", "shown"), [("enter_agent", ["hallo"]), ("unsubscribe", [])])
def test_only_some_events_take_a_passive_reply(
    platform: Platform, product: Product, kind: str, shown: list[str]
) -> None:
    product.answer = lambda _xml: product.reply("hallo")
    platform.write("zhang", "", kind=kind)
    wait_for(lambda: platform.ledger.deliveries())
    assert texts(platform) == shown


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda echo: f'"{echo}"', "answered 200, not the text alone"),
        (lambda echo: f"{echo}\n", "answered 200, not the text alone"),
        (lambda _echo: Response(status=403), "answered 403, not the text alone"),
        (lambda echo: _late(echo), "no answer within 1 s"),
    ],
)
def test_the_address_check_wants_the_text_alone_within_a_second(
    platform: Platform, product: Product, answer: Callable[[str], str], reason: str
) -> None:
    product.address_check = answer
    platform.courier.callback_url = ""
    assert platform.courier.check_address(product.url).reason == reason
    assert platform.courier.callback_url == ""


def test_an_address_that_passes_the_check_is_kept(platform: Platform, product: Product) -> None:
    platform.courier.callback_url = ""
    assert platform.courier.check_address(product.url).ok
    assert platform.courier.callback_url == product.url


def _late(echo: str) -> str:
    time.sleep(1.3)
    return echo
