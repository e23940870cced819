"""A growing answer as frames of its stream, a few a second and one in flight; made for `worker` by `connections`."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable

import structlog

from tool_server.channel.answer import partial
from tool_server.channel.bot_socket.connection import Ack, AckLost, Ended
from tool_server.channel.bot_socket.line import Away
from tool_server.channel.job import LostLease
from tool_server.channel.screen import PROGRESS_MARK, SHOWN_BYTES, is_progress
from tool_server.channel.split import fit

log = structlog.get_logger()

# Before a frame is tried again that found no connection.
AWAY_S = 1.0

# Sends one content of the stream and returns the platform's answer; called in the loop.
type Send = Callable[[str], Awaitable[Ack]]
# Writes down what is about to be shown, in a thread; raises `LostLease`.
type Store = Callable[[str], Awaitable[None]]


class SocketScreen:
    """One message's growing answer. `show` comes from the slot's thread, all else belongs to the loop.

    `shown` is the text that people may have seen, by an earlier process too: only what goes on from it is shown.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        send: Send,
        store: Store,
        *,
        every_s: float,
        shown: str = "",
    ) -> None:
        self.shown = "" if is_progress(shown) else shown
        self._loop = loop
        self._send = send
        self._store = store
        self._every_s = every_s
        self._lock = threading.Lock()
        self._text = ""
        self._progress = ""
        self._seen = ""  # the newest content that was sent, a progress line too
        self._painting = False
        self._closed = False
        self._next_at = 0.0
        self._task: asyncio.Task[None] | None = None

    def show(self, text: str, *, progress: str) -> None:
        """The app's text so far; returns at once. What comes faster than it can be shown is skipped."""
        with self._lock:
            self._text, self._progress = text, progress
            start = not self._painting and not self._closed
            self._painting = self._painting or start
        if start:
            self._loop.call_soon_threadsafe(self._begin)

    def close(self) -> None:
        """Nothing is shown any more: the answer's last frame comes next. In the loop."""
        self._closed = True

    def _begin(self) -> None:
        self._task = asyncio.create_task(self._paint())

    async def _paint(self) -> None:
        try:
            while self._next() is not None:
                await asyncio.sleep(self._next_at - time.monotonic())
                content = self._next()
                if content is None:
                    return
                self._next_at = time.monotonic() + self._every_s
                await self._show(content)
        except LostLease:
            self._closed = True  # another worker shows it from here on
        except Exception as error:  # a fault of ours; the answer itself comes all the same
            self._closed = True
            log.error("screen.fault", exc_info=error)

    async def _show(self, content: str) -> None:
        if not is_progress(content):
            await self._store(content)
            self.shown = content
        try:
            ack = await self._send(content)
        except (Away, Ended):
            self._next_at = time.monotonic() + AWAY_S
            return
        except AckLost:
            ack = Ack(0)  # it is shown, or the next frame shows it
        if ack.code:
            log.warning("screen.refused", code=ack.code, reason=ack.message)
            self._closed = True
        self._seen = content

    def _next(self) -> str | None:
        """What is to be shown next; None when there is nothing, and then the painting has ended."""
        with self._lock:
            content = self._content()
            if self._closed or not content or content == self._seen:
                self._painting = False
                return None
            return content

    def _content(self) -> str:
        """The text where it goes on from what is shown, else a progress line where nothing is."""
        text = fit(partial(self._text), SHOWN_BYTES) if self._text else ""
        if text or self.shown:
            return text if text.startswith(self.shown) else ""
        return f"{PROGRESS_MARK} {self._progress}…" if self._progress else ""
