"""The platform's long connection: who holds a bot, what each command does, and every limit of it."""

import base64
import hashlib
import time
from collections.abc import Iterator
from typing import Any

import pytest

from playground.wechat.bot.message import Written
from playground.wechat.bot_socket import codes
from playground.wechat.bot_socket.bot import BotSocket
from playground.wechat.bot_socket.server import SocketServer
from playground.wechat.config import BotSocketConfig
from playground.wechat.faults import Fault
from playground.wechat.ledger import Ledger
from playground.wechat.limits import BotSocketLimits, MediaLimits
from playground.wechat.media import Media
from tests.fakes.bot_client import BotClient
from tests.waiting import until

BOT, SECRET = "bot-1", "s3cret"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(700_000)


def make_server(limits: dict[str, Any] | None = None, **changed: Any) -> SocketServer:
    config = BotSocketConfig(
        bot_id=BOT, secret=SECRET, limits=BotSocketLimits(**limits or {}), **changed
    )
    return SocketServer(BotSocket(config, Ledger(), Media(MediaLimits())))


@pytest.fixture
def server() -> Iterator[SocketServer]:
    with make_server() as server:
        yield server


@pytest.fixture
def client(server: SocketServer) -> Iterator[BotClient]:
    with BotClient(server.url) as client:
        assert client.subscribe(BOT, SECRET) == codes.OK
        yield client


def write(server: SocketServer, client: BotClient, text: str = "问", **more: Any) -> str:
    """A message of zhang's; the req_id under which it came."""
    server.bot.write(Written("zhang", text, **more))
    return str(client.message()["headers"]["req_id"])


def stream(content: str, *, finish: bool = False, name: str = "s-1") -> dict[str, Any]:
    return {"msgtype": "stream", "stream": {"id": name, "finish": finish, "content": content}}


def markdown(text: str, to: str = "zhang") -> dict[str, Any]:
    return {"chatid": to, "chat_type": 1, "msgtype": "markdown", "markdown": {"content": text}}


def texts(server: SocketServer, user: str = "zhang") -> list[str]:
    return [entry["text"] for entry in server.bot.seen(user)]


def test_a_wrong_secret_is_refused_and_nothing_else_works(server: SocketServer) -> None:
    with BotClient(server.url) as client:
        assert client.subscribe(BOT, "wrong") == codes.BAD_SECRET
        assert client.call("ping", {}) == codes.NOT_SUBSCRIBED


def test_who_comes_last_holds_the_bot_and_the_other_is_told(
    server: SocketServer, client: BotClient
) -> None:
    with BotClient(server.url) as second:
        assert second.subscribe(BOT, SECRET) == codes.OK
        event = client.message()
        assert event["body"]["event"]["eventtype"] == "disconnected_event"
        until(lambda: not client.connected)
        assert server.bot.counts["kicked"] == 1
        write(server, second)


def test_subscribing_too_often_is_refused(server: SocketServer) -> None:
    with make_server({"subscribes_per_minute": 2}) as strict, BotClient(strict.url) as client:
        answers = [client.subscribe(BOT, SECRET) for _ in range(3)]
        assert answers == [codes.OK, codes.OK, codes.TOO_MANY]


def test_who_does_not_ping_is_disconnected() -> None:
    with make_server({"silence_s": 2.0}) as server, BotClient(server.url) as client:
        client.subscribe(BOT, SECRET)
        for _ in range(3):
            time.sleep(0.8)
            assert client.call("ping", {}) == codes.OK
        until(lambda: not client.connected)
        assert server.bot.counts["silent"] == 1


def test_a_stream_is_one_bubble_that_ends_once(server: SocketServer, client: BotClient) -> None:
    req_id = write(server, client)
    for content, finish in (("一", False), ("一二", False), ("一二三", True), ("一二三", True)):
        assert client.call("aibot_respond_msg", stream(content, finish=finish), req_id) == codes.OK
    assert texts(server) == ["一二三"]
    changed = stream("另一个", finish=True)
    assert client.call("aibot_respond_msg", changed, req_id) == codes.STREAM_EXPIRED
    assert texts(server) == ["一二三"]


def test_a_stream_for_no_callback_is_refused(client: BotClient) -> None:
    assert client.call("aibot_respond_msg", stream("一"), "nobody") == codes.BAD_REQ_ID


def test_a_stream_expires(server: SocketServer) -> None:
    with make_server({"stream_s": 2.0}) as server, BotClient(server.url) as client:
        client.subscribe(BOT, SECRET)
        req_id = write(server, client)
        assert client.call("aibot_respond_msg", stream("一"), req_id) == codes.OK
        time.sleep(2.1)
        late = stream("一二", finish=True)
        assert client.call("aibot_respond_msg", late, req_id) == codes.STREAM_EXPIRED
        assert client.call("aibot_send_msg", markdown("一二"), "p-1") == codes.OK


def test_a_callback_cannot_be_answered_for_ever() -> None:
    with make_server({"reply_s": 0.1}) as server, BotClient(server.url) as client:
        client.subscribe(BOT, SECRET)
        req_id = write(server, client)
        time.sleep(0.15)
        assert client.call("aibot_respond_msg", stream("一"), req_id) == codes.BAD_REQ_ID


@pytest.mark.parametrize(("size", "code"), [(20480, codes.OK), (20481, codes.BAD_BODY)])
def test_a_content_has_so_many_bytes(
    server: SocketServer, client: BotClient, size: int, code: int
) -> None:
    req_id = write(server, client)
    assert client.call("aibot_respond_msg", stream("x" * size), req_id) == code
    assert client.call("aibot_send_msg", markdown("x" * size), "p-1") == code


def test_replies_and_pushes_of_a_conversation_are_counted_together() -> None:
    with make_server({"per_minute": 2}) as server, BotClient(server.url) as client:
        client.subscribe(BOT, SECRET)
        req_id = write(server, client)
        for _ in range(5):
            assert client.call("aibot_respond_msg", stream("一"), req_id) == codes.OK
        assert client.call("aibot_respond_msg", stream("一", finish=True), req_id) == codes.OK
        assert client.call("aibot_send_msg", markdown("二"), "p-1") == codes.OK
        assert client.call("aibot_send_msg", markdown("三"), "p-2") == codes.TOO_MANY


def test_refreshes_count_where_that_is_set() -> None:
    counted = make_server({"per_minute": 2}, refreshes_count=True)
    with counted as server, BotClient(server.url) as client:
        client.subscribe(BOT, SECRET)
        req_id = write(server, client)
        answers = [client.call("aibot_respond_msg", stream("一"), req_id) for _ in range(3)]
        assert answers == [codes.OK, codes.OK, codes.TOO_MANY]


def test_nobody_is_written_to_who_has_not_written(client: BotClient) -> None:
    assert client.call("aibot_send_msg", markdown("你好"), "p-1") == codes.NEVER_WROTE


@pytest.mark.parametrize(("once", "shown"), [(True, 1), (False, 2)])
def test_the_same_push_again_is_shown_again_unless_that_is_set_otherwise(
    once: bool, shown: int
) -> None:
    with make_server(push_once=once) as server, BotClient(server.url) as client:
        client.subscribe(BOT, SECRET)
        write(server, client)
        for _ in range(2):
            assert client.call("aibot_send_msg", markdown("一"), "p-1") == codes.OK
        assert len(texts(server)) == shown


def test_a_welcome_must_come_in_time() -> None:
    with make_server({"event_s": 2.0}) as server, BotClient(server.url) as client:
        client.subscribe(BOT, SECRET)
        welcome = {"msgtype": "text", "text": {"content": "欢迎"}}
        server.bot.happen("zhang", "enter_chat", {})
        first = client.message()["headers"]["req_id"]
        assert client.call("aibot_respond_welcome_msg", welcome, first) == codes.OK
        server.bot.happen("zhang", "enter_chat", {})
        second = client.message()["headers"]["req_id"]
        time.sleep(2.1)
        assert client.call("aibot_respond_welcome_msg", welcome, second) == codes.BAD_REQ_ID
        assert texts(server) == ["欢迎"]


def test_what_has_no_answer_comes_again_with_the_next_connection(
    server: SocketServer, client: BotClient
) -> None:
    answered, open_one = write(server, client, "一"), write(server, client, "二")
    client.call("aibot_respond_msg", stream("答", finish=True), answered)
    with BotClient(server.url) as second:
        second.subscribe(BOT, SECRET)
        again = second.message()
        assert (again["headers"]["req_id"], again["body"]["text"]["content"]) == (open_one, "二")
        time.sleep(0.2)
        assert second.quiet()


def test_what_is_written_while_nobody_is_connected_waits_or_is_counted() -> None:
    with make_server() as server:
        server.bot.write(Written("zhang", "早"))
        with BotClient(server.url) as client:
            client.subscribe(BOT, SECRET)
            assert client.message()["body"]["text"]["content"] == "早"
    with make_server(keep_while_away=False) as server:
        server.bot.write(Written("zhang", "早"))
        assert server.bot.counts["undelivered"] == 1


def test_a_script_loses_an_answer_but_not_the_deed(server: SocketServer, client: BotClient) -> None:
    req_id = write(server, client)
    server.bot.faults.add(Fault(call="finish:aibot_respond_msg", fault="lost_ack"))
    final = stream("答", finish=True)
    client.send("aibot_respond_msg", final, req_id)
    until(lambda: texts(server) == ["答"])
    assert client.call("aibot_respond_msg", final, req_id) == codes.OK
    assert server.bot.counts["acks_lost"] == 1


def test_a_picture_goes_up_in_chunks_and_out_as_a_message(
    server: SocketServer, client: BotClient
) -> None:
    write(server, client)
    size = BotSocketLimits().chunk_bytes
    parts = [PNG[at : at + size] for at in range(0, len(PNG), size)]
    init = {
        "type": "image",
        "filename": "p.png",
        "total_size": len(PNG),
        "total_chunks": len(parts),
        "md5": hashlib.md5(PNG).hexdigest(),
    }
    upload = client.ask("aibot_upload_media_init", init)["body"]["upload_id"]
    for index in reversed(range(len(parts))):
        data = base64.b64encode(parts[index]).decode()
        body = {"upload_id": upload, "chunk_index": index, "base64_data": data}
        assert client.call("aibot_upload_media_chunk", body) == codes.OK
    done = client.ask("aibot_upload_media_finish", {"upload_id": upload})
    image = {"msgtype": "image", "image": {"media_id": done["body"]["media_id"]}}
    assert client.call("aibot_send_msg", {"chatid": "zhang", **image}, "p-1") == codes.OK
    assert texts(server) == ["[image] p.png"]


@pytest.mark.parametrize("wrong", [{"total_chunks": 101}, {"total_chunks": 0}, {"md5": None}])
def test_an_upload_that_cannot_be_is_refused(client: BotClient, wrong: dict[str, Any]) -> None:
    init = {"type": "image", "filename": "p", "total_size": 9, "total_chunks": 1, "md5": "0"}
    body = {name: value for name, value in (init | wrong).items() if value is not None}
    assert client.call("aibot_upload_media_init", body) == codes.BAD_BODY


def test_what_is_no_frame_is_counted_and_changes_nothing(
    server: SocketServer, client: BotClient
) -> None:
    for text in ("", "[]", "{", '{"cmd": 1}', '{"cmd": "ping", "headers": []}'):
        client.send_text(text)
    assert client.call("ping", {}) == codes.OK
    assert server.bot.counts["unreadable"] == 5
