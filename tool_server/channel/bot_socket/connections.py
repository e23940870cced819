"""All long connections of one worker, as `worker` sees them: whose messages it may answer, screens, frames, files.

One event loop in a thread holds the connections; `tender` decides which there are.
"""

import asyncio
import json
import threading
from collections.abc import Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tool_server import wake
from tool_server.channel.account import Account, WeComBotSocket
from tool_server.channel.accounts import Accounts
from tool_server.channel.bot_socket.connection import Ack, AckLost, Ended, Frame
from tool_server.channel.bot_socket.inbox import Desk
from tool_server.channel.bot_socket.line import Away
from tool_server.channel.bot_socket.metrics import SocketMetrics
from tool_server.channel.bot_socket.screen import SocketScreen
from tool_server.channel.bot_socket.tender import Tender
from tool_server.channel.bot_socket.upload import upload
from tool_server.channel.job import Job
from tool_server.channel.leaders import Leaders, standings
from tool_server.channel.ledger import Ledger
from tool_server.channel.members import Members
from tool_server.channel.push import NotConnected
from tool_server.channel.surface import MediaKind
from tool_server.channel.surfaces import wecom_bot_socket as surface
from tool_server.channel.wecom_api import SendError
from tool_server.channel.work import Work
from tool_server.database import Database
from tool_server.settings import Settings

# Threads for what the loop may not wait for: claims and what screens write down.
THREADS = 8
# Codes after which another try helps: busy, and the call-frequency limits.
PAUSES_S = {-1: 1.0, 45009: 65.0, 45033: 65.0}


class Connections:
    """The connections of the accounts that this worker leads. Made and used by `worker`, from any thread."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        accounts: Accounts,
        work: Work,
        leaders: Leaders,
        members: Members,
        metrics: SocketMetrics,
    ) -> None:
        self._settings = settings
        self._database = database
        self._work = work
        self._executor = ThreadPoolExecutor(THREADS, "bot")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="bots", daemon=True)
        desk = Desk(
            Ledger.open(database, settings),
            self._executor,
            self._ring,
            metrics.frames,
            settings.channel_bot_inbox,
        )
        self._tender = Tender(settings, accounts, leaders, members, metrics, desk, self._loop)
        self._lock = threading.Lock()
        self._screens: dict[str, SocketScreen] = {}  # by req_id

    def start(self) -> None:
        """Know which accounts there are, then connect in the background."""
        self._thread.start()
        self._tender.start()

    def close(self) -> None:
        """Close every connection and let others lead."""
        self._tender.close()
        self._wait(_end_tasks())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._executor.shutdown()

    def not_ours(self) -> frozenset[str]:
        """Accounts whose messages only another process can answer, or none at the moment."""
        return self._tender.names - self._tender.up()

    def states(self) -> dict[str, str]:
        """How all long connections stand, those that others hold too, for the heartbeat."""
        return {one.account: one.state for one in standings(self._database, self._tender.names)}

    def screen(self, job: Job, account: Account) -> SocketScreen | None:
        """Where the growing answer of `job` is shown; None where its message opened no stream."""
        bot = surface.of_bot(account)
        handle = surface.Handle.read(job.handle)
        if not handle.stream:
            return None

        async def send(content: str) -> Ack:
            frame = Frame(surface.RESPOND, handle.req_id, surface.growing(handle, content))
            return await self._tender.line(bot).request(frame, again=False)

        async def store(content: str) -> None:
            await self._loop.run_in_executor(self._executor, self._work.show, job, content)

        every_s = self._settings.channel_bot_refresh_s
        screen = SocketScreen(self._loop, send, store, every_s=every_s, shown=job.stream)
        self._keep_screen(handle.req_id, screen)
        return screen

    def call(self, account: Account, path: str, body: str) -> Mapping[str, object]:
        """Send the frame `body` (JSON) and wait until the platform has taken it; `path` is its command.

        Raises `SendError`; `NotConnected` where there is no connection now.
        """
        given = json.loads(body)
        frame = Frame(path, given["headers"]["req_id"], given["body"])
        return self._taken(self._request(surface.of_bot(account), frame)).body

    def upload(self, account: Account, kind: MediaKind, name: str, data: bytes) -> str:
        """Leave a file with the platform; its media id, valid for three days. Raises as `call` does."""
        bot = surface.of_bot(account)

        async def ask(frame: Frame) -> Ack:
            return await self._tender.line(bot).request(frame)

        return str(self._taken(upload(ask, kind, name, data)).body.get("media_id", ""))

    def post(self, url: str, body: str) -> Mapping[str, object]:  # noqa: ARG002  (as `Api` has it)
        """Nothing of a long connection is posted."""
        raise TypeError("a long connection posts nothing")

    async def _request(self, bot: WeComBotSocket, frame: Frame) -> Ack:
        """A frame that ends what grows under its `req_id`."""
        line = self._tender.line(bot)
        with self._lock:
            screen = self._screens.pop(frame.req_id, None)
        if screen is not None:
            screen.close()
        return await line.request(frame)

    def _taken(self, asking: Coroutine[Any, Any, Ack]) -> Ack:
        """The answer to what is asked in the loop, where it is a good one."""
        try:
            ack = self._wait(asking)
        except (Away, Ended) as error:
            raise NotConnected(str(error)) from None
        except AckLost:
            raise SendError(0, "the platform did not answer", again_in_s=1.0) from None
        if ack.code:
            raise SendError(ack.code, ack.message, again_in_s=PAUSES_S.get(ack.code))
        return ack

    def _keep_screen(self, req_id: str, screen: SocketScreen) -> None:
        """In the place of an earlier try's; the oldest goes, whose answer ended without a frame (put off, given up)."""
        with self._lock:
            before = self._screens.pop(req_id, None)
            self._screens[req_id] = screen
            if len(self._screens) > self._settings.channel_worker_slots * 4:
                before = self._screens.pop(next(iter(self._screens)))
        if before is not None:
            before.close()

    def _wait[T](self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _ring(self) -> None:
        wake.ring(self._settings.run_dir, "worker")


async def _end_tasks() -> None:
    """Nothing may be pending when the loop ends."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
