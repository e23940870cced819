"""One line to the platform, in this process: acknowledgements belong to their frames, and a line knows when to stop."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from playground.wechat.bot.message import Written
from playground.wechat.bot_socket.server import SocketServer
from playground.wechat.faults import Fault
from tests.channel.bot_socket.bench import BOT, SECRET, make_bot
from tool_server.channel.account import WeComBotSocket
from tool_server.channel.bot_socket import line as module
from tool_server.channel.bot_socket.connection import AckLost, Frame, Pace
from tool_server.channel.bot_socket.line import Away, Hooks, Line
from tool_server.channel.bot_socket.upload import TOO_LARGE, upload

PACE = Pace(ack_s=1.0, ping_s=0.2)


@dataclass
class Heard:
    """What a line told."""

    frames: list[Frame] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    lost: int = 0

    def hooks(self) -> Hooks:
        def lose() -> None:
            self.lost += 1

        return Hooks(self.frames.append, lambda state, _reason: self.states.append(state), lose)


def account(secret: str = SECRET) -> WeComBotSocket:
    return WeComBotSocket.model_validate(
        {
            "surface": "wecom_bot_socket",
            "bot_id": BOT,
            "secret": secret,
            "dify_url": "http://127.0.0.1:9/v1",
            "dify_key": "app",
        }
    )


def play(
    work: Callable[[SocketServer, Line, Heard], Awaitable[None]], secret: str = SECRET
) -> Heard:
    """Run `work` with a line that is connected, or tries to be."""
    heard = Heard()

    async def run(server: SocketServer) -> None:
        line = Line(account(secret), server.url, PACE, heard.hooks())
        task = asyncio.create_task(line.run())
        try:
            async with asyncio.timeout(90):
                await work(server, line, heard)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    with SocketServer(make_bot()) as server:
        asyncio.run(run(server))
    return heard


async def until(condition: Callable[[], object]) -> None:
    while not condition():  # noqa: ASYNC110  (what a test waits for is in another thread)
        await asyncio.sleep(0.01)


def push(number: int) -> Frame:
    body = {"chatid": "zhang", "msgtype": "markdown", "markdown": {"content": f"{number}"}}
    return Frame("aibot_send_msg", "one-id", body)


def test_a_late_acknowledgement_is_not_taken_for_the_next_frames() -> None:
    async def work(server: SocketServer, line: Line, heard: Heard) -> None:
        await until(lambda: line.up)
        server.bot.write(Written("zhang", "问"))
        await until(lambda: heard.frames)
        server.bot.faults.add(Fault(call="aibot_send_msg", fault="slow_after", seconds=1.5))
        server.bot.faults.add(Fault(call="aibot_send_msg", fault="errcode", code=45009))
        with pytest.raises(AckLost):
            await line.request(push(1), again=False)
        assert (await line.request(push(2))).code == 45009

    assert play(work).lost == 1


def test_a_lost_acknowledgement_brings_the_same_frame_again() -> None:
    async def work(server: SocketServer, line: Line, heard: Heard) -> None:
        await until(lambda: line.up)
        server.bot.write(Written("zhang", "问"))
        await until(lambda: heard.frames)
        server.bot.faults.add(Fault(call="aibot_send_msg", fault="lost_ack"))
        assert (await line.request(push(1))).code == 0
        assert [entry["text"] for entry in server.bot.seen("zhang")] == ["1", "1"]

    assert play(work).lost == 1


def test_frames_of_different_answers_do_not_wait_for_each_other() -> None:
    async def work(server: SocketServer, line: Line, heard: Heard) -> None:
        await until(lambda: line.up)
        server.bot.write(Written("zhang", "问"))
        await until(lambda: heard.frames)
        server.bot.faults.add(Fault(call="aibot_send_msg", fault="slow_after", seconds=0.5))
        slow = asyncio.create_task(line.request(push(1)))
        other = asyncio.create_task(line.request(Frame("ping", "another-id")))
        done, _ = await asyncio.wait({slow, other}, return_when=asyncio.FIRST_COMPLETED)
        assert other in done
        assert (await slow).code == 0

    play(work)


def test_a_line_without_a_connection_says_so() -> None:
    async def work(server: SocketServer, line: Line, _heard: Heard) -> None:
        await until(lambda: line.up)
        server.stop()
        await until(lambda: not line.up)
        with pytest.raises(Away):
            await line.request(push(1))

    assert "away" in play(work).states


def test_a_wrong_secret_is_tried_a_few_times_and_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.01)

    async def work(server: SocketServer, line: Line, _heard: Heard) -> None:
        await until(lambda: line.given_up)
        assert server.bot.counts["refused"] == module.LOGINS

    assert play(work, secret="wrong").states[-1] == "refused"


def test_a_platform_that_asks_for_patience_is_not_a_wrong_secret() -> None:
    async def work(server: SocketServer, line: Line, heard: Heard) -> None:
        await until(lambda: line.up)
        for _ in range(module.LOGINS):
            server.bot.faults.add(Fault(call="aibot_subscribe", fault="errcode", code=45009))
        server.bot.cut()
        await until(lambda: "away" in heard.states[2:])
        assert not line.given_up

    play(work)


@pytest.mark.parametrize("size", [100, 1_200_000])
def test_a_file_goes_up_in_chunks_also_where_an_acknowledgement_is_lost(size: int) -> None:
    async def work(server: SocketServer, line: Line, _heard: Heard) -> None:
        await until(lambda: line.up)
        server.bot.faults.add(Fault(call="aibot_upload_media_chunk", fault="lost_ack"))
        ack = await upload(line.request, "file", "a.txt", b"x" * size)
        assert ack.code == 0
        assert ack.body["media_id"]

    assert play(work).lost == 1


def test_a_file_that_has_no_place_is_refused_before_anything_is_sent() -> None:
    async def work(server: SocketServer, line: Line, _heard: Heard) -> None:
        await until(lambda: line.up)
        assert (await upload(line.request, "file", "a.txt", b"")).code == TOO_LARGE

    play(work)
