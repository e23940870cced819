"""Keeping one account connected: reconnects with growing pauses, gives up after a kick; run by `connections`."""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from websockets.exceptions import WebSocketException

from tool_server.channel.account import WeComBotSocket
from tool_server.channel.bot_socket.connection import (
    Ack,
    AckLost,
    Connection,
    Ended,
    Frame,
    Kicked,
    Pace,
    Refused,
    open_connection,
)
from tool_server.channel.leaders import State

log = structlog.get_logger()

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0
# A connection that lived this long is followed by a new one after the first pause again.
HEALTHY_S = 60.0
# The platform protects subscribing: these codes ask for patience, all others say that the secret is wrong.
BUSY_CODES = (-1, 45009, 45033)
# Wrong logins after which only a person can help.
LOGINS = 5
# A finished stream may be answered so when its last frame comes a second time.
EXPIRED = 846608


class Away(Exception):
    """There is no connection now."""


@dataclass(frozen=True)
class Hooks:
    """What a line tells whoever runs it; all are called in the loop and must not block."""

    deliver: Callable[[Frame], None]
    state: Callable[[State, str], None]
    ack_lost: Callable[[], None]


class Line:
    """One account's way to the platform. All methods belong to the loop's thread."""

    def __init__(self, account: WeComBotSocket, url: str, pace: Pace, hooks: Hooks) -> None:
        self.account = account
        self._url = url
        self._pace = pace
        self._hooks = hooks
        self._connection: Connection | None = None
        self._pause_s = FIRST_PAUSE_S
        self._logins = 0
        self.given_up = False  # only a person can help

    @property
    def up(self) -> bool:
        return self._connection is not None

    async def run(self) -> None:
        """Connect for ever; returns when nobody may connect again by itself."""
        while True:
            began = time.monotonic()
            try:
                await self._connect()
            except Kicked as error:
                self._give_up("kicked", str(error))
                return
            except Refused as error:
                if self._refused(error):
                    return
            except (OSError, TimeoutError, WebSocketException, Ended, AckLost) as error:
                self._hooks.state("away", str(error) or type(error).__name__)
            if time.monotonic() - began > HEALTHY_S:
                self._pause_s = FIRST_PAUSE_S
            await asyncio.sleep(self._pause_s * random.uniform(0.5, 1.0))
            self._pause_s = min(LONGEST_PAUSE_S, self._pause_s * 2)

    async def request(self, frame: Frame, *, again: bool = True) -> Ack:
        """The platform's answer; if it is lost, the same frame goes out `again`. Raises `Away`, `AckLost`, `Ended`."""
        connection = self._connection
        if connection is None:
            raise Away("there is no connection to the platform now")
        try:
            return await connection.request(frame)
        except AckLost:
            self._hooks.ack_lost()
            log.warning("connection.ack_lost", cmd=frame.cmd, req_id=frame.req_id)
            if not again:
                raise
        ack = await connection.request(frame)
        # Within a stream's time this code tells that the frame before has ended it.
        return Ack(0) if ack.code == EXPIRED else ack

    async def _connect(self) -> None:
        self._hooks.state("connecting", "")
        secret = self.account.secret.get_secret_value()
        async with open_connection(self._url, self._pace) as connection:

            def subscribed() -> None:
                self._connection, self._logins = connection, 0
                self._hooks.state("up", "")

            try:
                await connection.serve(
                    self.account.bot_id,
                    secret,
                    deliver=self._hooks.deliver,
                    subscribed=subscribed,
                )
            finally:
                self._connection = None

    def _refused(self, error: Refused) -> bool:
        """Whether it is hopeless: the platform has refused bot id or secret again and again."""
        if error.ack.code in BUSY_CODES:
            self._pause_s = LONGEST_PAUSE_S
            self._hooks.state("away", f"the platform asks for patience ({error})")
            return False
        self._logins += 1
        sentence = f"the platform refuses bot id or secret ({error})"
        if self._logins >= LOGINS:
            self._give_up("refused", sentence)
        else:
            self._hooks.state("away", sentence)
        return self.given_up

    def _give_up(self, state: State, reason: str) -> None:
        self.given_up = True
        self._hooks.state(state, reason)
