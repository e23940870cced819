"""From a callback's frame to a message in the ledger, one after the other per account; fed by `line`, in the loop."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

import structlog
from prometheus_client import Counter
from sqlalchemy.exc import SQLAlchemyError

from tool_server.channel.account import WeComBotSocket
from tool_server.channel.bot_socket.connection import Frame
from tool_server.channel.ledger import Claim, Ledger
from tool_server.channel.surface import Incoming, Refused
from tool_server.channel.surfaces import wecom_bot_socket
from tool_server.errors import Unavailable

log = structlog.get_logger()

# Before a message is offered again to a ledger that is full or cannot write.
PAUSE_S = 0.5


@dataclass(frozen=True)
class Desk:
    """What an inbox works with; the same for all accounts of a worker."""

    ledger: Ledger
    executor: Executor
    claimed: Callable[[], None]
    counter: Counter
    bound: int


class Inbox:
    """Frames of one account that are not in the ledger yet; at most `bound`, beyond it the newest is refused."""

    def __init__(self, name: str, account: WeComBotSocket, desk: Desk) -> None:
        self._name = name
        self._account = account
        self._desk = desk
        self._frames: asyncio.Queue[Incoming] = asyncio.Queue(desk.bound)

    def take(self, frame: Frame) -> None:
        """A frame that the platform has sent; what is no message of a person is noted and dropped."""
        try:
            incoming = wecom_bot_socket.incoming(
                self._account, frame.req_id, frame.body, now=time.time()
            )
            self._frames.put_nowait(incoming)
        except Refused as error:
            self._count("refused")
            log.warning("inbox.refused", account=self._name, cmd=frame.cmd[:64], reason=str(error))
        except asyncio.QueueFull:
            self._count("overflow")
            log.error("inbox.overflow", account=self._name, platform_id=incoming.platform_id)

    async def run(self) -> None:
        """Write one after the other into the ledger, in the order in which they came."""
        while True:
            incoming = await self._frames.get()
            while not await self._claim(incoming):  # noqa: ASYNC110  (the ledger tells nobody when it can)
                await asyncio.sleep(PAUSE_S)
            self._frames.task_done()

    async def empty(self) -> None:
        """Returns once all that came is on disk."""
        await self._frames.join()

    async def _claim(self, incoming: Incoming) -> bool:
        """Whether it is on disk."""
        loop = asyncio.get_running_loop()
        try:
            claim = await loop.run_in_executor(self._desk.executor, self._write, incoming)
        except Unavailable:
            self._count("waited")
            return False
        except SQLAlchemyError as error:
            log.error("inbox.fault", account=self._name, exc_info=error)
            return False
        self._count("new" if claim.new else "repeated")
        if claim.new:
            self._desk.claimed()
        return True

    def _write(self, incoming: Incoming) -> Claim:
        return self._desk.ledger.claim(self._name, incoming, wait_until=0.0)

    def _count(self, result: str) -> None:
        self._desk.counter.labels(result).inc()
