"""One bot's connection to the platform: subscribe, ping, frames both ways with their acknowledgements; for `line`.

Frames and times: developer.work.weixin.qq.com, document 101463, and the constants of the platform's own SDK.
"""

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

log = structlog.get_logger()

SUBSCRIBE = "aibot_subscribe"
EVENT = "aibot_event_callback"
PING = "ping"
KICK = "disconnected_event"

# Bytes of one frame in: a message has no pictures in it, only their addresses.
FRAME_BYTES = 1 << 20
# Missed answers to pings after which the connection is dead.
MISSED = 2
# An acknowledgement that was given up may still come, and must not be taken for the next frame's.
STRAY_S = 0.5


@dataclass(frozen=True)
class Frame:
    """One command, ours or the platform's."""

    cmd: str
    req_id: str
    body: Mapping[str, Any] = field(default_factory=dict)

    def text(self) -> str:
        """As it goes over the wire."""
        frame = {"cmd": self.cmd, "headers": {"req_id": self.req_id}, "body": self.body}
        return json.dumps(frame, ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True)
class Ack:
    """The platform's answer to a command of ours; `code` 0 is success."""

    code: int
    message: str = ""
    body: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Pace:
    """How patient a connection is, in seconds."""

    ack_s: float = 5.0
    ping_s: float = 30.0


class Ended(Exception):
    """The connection is gone; whatever was not acknowledged may or may not have arrived."""


class Dead(Ended):
    """The platform answered no ping."""


class Kicked(Ended):
    """Another connection of this bot has taken the place of ours."""


class Refused(Exception):
    """The platform does not let this bot in."""

    def __init__(self, ack: Ack) -> None:
        super().__init__(f"{ack.code} {ack.message}")
        self.ack = ack


class AckLost(Exception):
    """No answer to a frame in time, while the connection lives."""


class Connection:
    """An open connection. `serve` runs as long as it lives; `request` may be called from any task meanwhile."""

    def __init__(self, socket: ClientConnection, pace: Pace) -> None:
        self._socket = socket
        self._pace = pace
        self._exchanges: dict[str, _Exchange] = {}
        self._ended = False

    async def serve(
        self,
        bot_id: str,
        secret: str,
        *,
        deliver: Callable[[Frame], None],
        subscribed: Callable[[], None],
    ) -> None:
        """Subscribe, call `subscribed`, hand every message to `deliver`, keep alive. Only ends with an error.

        Raises `Refused`, `AckLost` (of the subscription), `Kicked`, `Dead`, `Ended`.
        """
        tasks = [
            asyncio.create_task(self._read(deliver)),
            asyncio.create_task(self._live(bot_id, secret, subscribed)),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            self._end()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def request(self, frame: Frame) -> Ack:
        """Send `frame` and wait for its answer; one at a time per `req_id`. Raises `AckLost`, `Ended`."""
        exchange = self._exchanges.setdefault(frame.req_id, _Exchange())
        exchange.users += 1
        try:
            async with exchange.turn:
                await self._send(exchange, frame)
                return await exchange.answer(self._pace.ack_s)
        finally:
            exchange.users -= 1
            if not exchange.users and not exchange.owed:
                self._exchanges.pop(frame.req_id, None)

    async def _send(self, exchange: "_Exchange", frame: Frame) -> None:
        if self._ended:
            raise Ended("the connection is closed")
        exchange.owed += 1
        try:
            await self._socket.send(frame.text())
        except ConnectionClosed:
            raise Ended("the connection is closed") from None

    async def _read(self, deliver: Callable[[Frame], None]) -> None:
        try:
            async for text in self._socket:
                self._take(text, deliver)
        except ConnectionClosed as error:
            raise Ended(f"closed: {error}") from None
        raise Ended("closed by the platform")

    async def _live(self, bot_id: str, secret: str, subscribed: Callable[[], None]) -> None:
        """Say who we are, then ping until two in a row stay without an answer."""
        ack = await self.request(
            Frame(SUBSCRIBE, "subscribe", {"bot_id": bot_id, "secret": secret})
        )
        if ack.code:
            raise Refused(ack)
        subscribed()
        missed = 0
        for number in itertools.count(1):
            await asyncio.sleep(self._pace.ping_s)
            try:
                await self.request(Frame(PING, f"ping-{number}"))
                missed = 0
            except AckLost:
                missed += 1
            if missed >= MISSED:
                raise Dead(f"{MISSED} pings were not answered")

    def _take(self, text: str | bytes, deliver: Callable[[Frame], None]) -> None:
        """A frame of the platform: a message, or the answer to a command."""
        frame = _object(text)
        headers = frame.get("headers")
        req_id = str(headers.get("req_id", "")) if isinstance(headers, dict) else ""
        body = frame.get("body")
        body = body if isinstance(body, dict) else {}
        if "errcode" in frame or not frame.get("cmd"):
            exchange = self._exchanges.get(req_id)
            if exchange is not None:
                exchange.acks.put_nowait(_ack(frame, body))
            return
        if frame["cmd"] == EVENT and _event_type(body) == KICK:
            raise Kicked("another connection of this bot has taken its place")
        deliver(Frame(str(frame["cmd"]), req_id, body))

    def _end(self) -> None:
        """Nobody waits for an answer any longer."""
        self._ended = True
        for exchange in self._exchanges.values():
            exchange.acks.put_nowait(None)


class _Exchange:
    """Frames of one `req_id`: one in flight, and how many answers the platform still owes."""

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self.users = 0
        self.owed = 0
        self.acks: asyncio.Queue[Ack | None] = asyncio.Queue()

    async def answer(self, within_s: float) -> Ack:
        """The answer to the newest frame. Where an earlier one may be late, a fault of either counts."""
        ack = await self._next(within_s)
        while self.owed:
            try:
                other = await self._next(STRAY_S)
            except AckLost:
                self.owed = 0
            else:
                ack = ack if ack.code else other
        return ack

    async def _next(self, within_s: float) -> Ack:
        try:
            async with asyncio.timeout(within_s):
                ack = await self.acks.get()
        except TimeoutError:
            raise AckLost from None
        if ack is None:
            raise Ended("the connection is closed")
        self.owed -= 1
        return ack


@contextlib.asynccontextmanager
async def open_connection(url: str, pace: Pace) -> AsyncIterator[Connection]:
    """A connection that is not subscribed yet. Raises `OSError`, `TimeoutError`, websockets' `WebSocketException`."""
    async with (
        connect(
            url,
            proxy=None,  # a proxy from the environment would send private text where nobody configured it
            open_timeout=pace.ack_s,
            close_timeout=1.0,
            ping_interval=None,  # the platform has a ping of its own
            max_size=FRAME_BYTES,
        ) as socket
    ):
        yield Connection(socket, pace)


def _object(text: str | bytes) -> dict[str, Any]:
    try:
        frame = json.loads(text)
    except (ValueError, RecursionError):
        frame = None
    if not isinstance(frame, dict):
        log.warning("connection.unreadable", bytes=len(text))
        return {}
    return frame


def _ack(frame: Mapping[str, Any], body: Mapping[str, Any]) -> Ack:
    code = frame.get("errcode")
    return Ack(code if isinstance(code, int) else -1, str(frame.get("errmsg", ""))[:160], body)


def _event_type(body: Mapping[str, Any]) -> str:
    event = body.get("event")
    return str(event.get("eventtype", "")) if isinstance(event, dict) else ""
