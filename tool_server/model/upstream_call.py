"""One request at the upstreams: a place, then one URL after the other until the first token.

It runs as a task on the thread of `upstream_link`, is read by one request thread, and ends in any case: by itself, by a
deadline, by silence, or by `cancel`.
"""

import asyncio
import queue
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import Future
from typing import Any

import httpx
import structlog

from tool_server.errors import ApiError, Busy, Unavailable
from tool_server.model.chat import EngineFailed
from tool_server.model.upstream_answers import Moved, read_status, refuse
from tool_server.model.upstream_link import Link
from tool_server.model.upstream_pool import Upstream
from tool_server.model.upstream_stream import (
    LINE_LIMIT,
    BadStream,
    Delta,
    EventReader,
    UpstreamError,
    read_event,
)

log = structlog.get_logger()

# Batches of deltas that a slow client may be behind; then the upstream has to wait as well.
OUTBOX = 1000
# All bytes of one answer; no honest one is longer.
ANSWER_LIMIT = 64 * 1024 * 1024
# After the end a server closes its body, so that the connection can be used again.
DRAIN_S = 0.5
# Finish reasons of an engine that stopped for reasons of its own.
GIVEN_UP = ("abort", "error")
# After the finish reason only the usage is missing.
LAST_S = 5.0
RETRY_AFTER_S = 2
ROOM_S = 0.02
CUT = "The upstream engine failed in the middle of this answer."


class Opened:
    """An upstream has taken the request."""


type Event = Opened | list[Delta] | ApiError


class Call:
    """`next` gives its events, the last a delta that is `done` or an `ApiError`."""

    def __init__(self, name: str, body: Mapping[str, Any], link: Link) -> None:
        self.id = name
        self.upstream = ""
        self.tries = 0
        self._body = body
        self._link = link
        self._outbox: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._told = False  # whether a client may have seen something
        self._finished = False
        self._deadline: asyncio.Timeout | None = None
        self._task: Future[None] | None = None

    def start(self, ended: Callable[[], None]) -> None:
        """`ended` is called once, however it ends."""
        self._task = self._link.submit(self._run())
        self._task.add_done_callback(lambda _: ended())

    def next(self, timeout_s: float) -> Event | None:
        """The next event; None when nothing came in time."""
        try:
            return self._outbox.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def cancel(self) -> None:
        """Nobody reads any more: closes the upstream's connection at once; harmless after the end."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        """The rim of the task: whatever happens is told to the reader."""
        try:
            async with asyncio.timeout(self._link.first_token_s) as self._deadline:
                async with self._link.place():
                    await self._try_all()
        except ApiError as error:
            self._outbox.put(error)
        except TimeoutError:
            self._outbox.put(_late())
        except Exception as error:
            log.error("upstream.fault", id=self.id, exc_info=error)
            self._outbox.put(EngineFailed(CUT))

    async def _try_all(self) -> None:
        """Each upstream at most once, until one has answered."""
        tried: list[Upstream] = []
        faults: list[Moved] = []
        while (upstream := self._link.pool.choose(tried)) is not None:
            tried.append(upstream)
            self.upstream, self.tries = upstream.name, len(tried)
            try:
                with upstream.flight():
                    await self._try(upstream)
            except Moved as moved:
                faults.append(moved)
                self._note(upstream, moved)
            else:
                return
        raise _nobody(faults)

    def _note(self, upstream: Upstream, moved: Moved) -> None:
        """What a try that came to nothing means for this upstream. Raises where nothing can be asked again."""
        log.warning(
            "upstream.failed",
            id=self.id,
            upstream=upstream.name,
            reason=moved.reason,
            told=self._told,
        )
        self._link.count(upstream, "cut" if self._told else "moved")
        if moved.rest_s is not None:
            upstream.rest(moved.rest_s)
        else:
            upstream.failed(moved.reason)
        if self._told:
            raise EngineFailed(CUT)

    async def _try(self, upstream: Upstream) -> None:
        """One upstream. Raises `Moved` where another may do better, `ApiError` where none would."""
        try:
            async with asyncio.timeout(self._link.silence_s) as silence:
                response = await self._link.send(upstream, self._body, f"{self.id}-{self.tries}")
                try:
                    await read_status(response)
                    self._outbox.put(Opened())
                    await self._read(upstream, response, silence)
                finally:
                    await response.aclose()
        except (TimeoutError, httpx.HTTPError, BadStream, UpstreamError) as error:
            if not self._finished:
                raise self._judge(upstream, error) from None
        self._link.count(upstream, "answered")
        self._outbox.put([Delta(done=True)])

    async def _read(
        self, upstream: Upstream, response: httpx.Response, silence: asyncio.Timeout
    ) -> None:
        """The stream to its end; what a server keeps open longer than that is closed after a moment."""
        async for deltas in _deltas(response):
            if not self._told and any(delta.tells or delta.finish for delta in deltas):
                self._first(upstream)
            if any(delta.finish in GIVEN_UP for delta in deltas):
                raise BadStream("it gave up the answer")
            self._finished |= self._told and any(delta.finish or delta.done for delta in deltas)
            if deltas or not self._told:
                silence.reschedule(None)
                await self._give([delta for delta in deltas if not delta.done])
                silence.reschedule(_in(LAST_S if self._finished else self._link.silence_s))
            if any(delta.done for delta in deltas):
                silence.reschedule(_in(DRAIN_S))
        if not self._finished:
            raise BadStream("it ends in the middle")

    def _judge(self, upstream: Upstream, error: Exception) -> Exception:
        """What ended a try: in the middle, or as the client's own fault, or so that another may be asked."""
        if isinstance(error, UpstreamError) and not self._told:
            verdict = refuse(error, self._link.hidden)
            if isinstance(verdict, ApiError):
                self._link.count(upstream, "refused")
            return verdict
        if isinstance(error, TimeoutError):
            return Moved("silent")
        known = isinstance(error, BadStream)
        return Moved(str(error) if known else type(error).__name__)

    def _first(self, upstream: Upstream) -> None:
        """From here on the answer is this upstream's, for good or ill."""
        self._told = True
        upstream.succeeded()
        if self._deadline is not None:
            self._deadline.reschedule(None)

    async def _give(self, deltas: list[Delta]) -> None:
        """To the reader; a slow one holds up its own upstream's stream, for a while. Raises `EngineFailed`."""
        if deltas:
            self._outbox.put(deltas)
        until = _in(self._link.silence_s)
        while self._outbox.qsize() > OUTBOX:  # the reader is a thread
            if _in(0) > until:
                raise EngineFailed("The client does not read.")
            await asyncio.sleep(ROOM_S)


async def _deltas(response: httpx.Response) -> AsyncIterator[list[Delta]]:
    """What each chunk brought, empty where it was a sign of life. Raises `BadStream`, `UpstreamError`."""
    if "json" in response.headers.get("content-type", ""):  # it does not stream
        yield [*read_event((await _whole(response)).decode("utf-8", "replace")), Delta(done=True)]
        return
    reader, size = EventReader(), 0
    async for chunk in response.aiter_raw():
        size += len(chunk)
        if size > ANSWER_LIMIT:
            raise BadStream("the answer is too long")
        yield [delta for data in reader.feed(chunk) for delta in read_event(data)]
    yield [delta for data in reader.end() for delta in read_event(data)]


async def _whole(response: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > LINE_LIMIT:
            raise BadStream("the answer is too long")
    return bytes(body)


def _in(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


def _late() -> Unavailable:
    return Unavailable("No engine answered in time; try again in a moment.", retry_after=5)


def _nobody(faults: list[Moved]) -> ApiError:
    """What the client is told when all were tried: busy, if that is the whole reason."""
    if faults and all(fault.busy for fault in faults):
        wait = min(fault.rest_s or RETRY_AFTER_S for fault in faults)
        return Busy("All engines are busy; try again in a moment.", retry_after=max(1, round(wait)))
    return Unavailable(
        "No engine can be reached; try again in a moment.", retry_after=RETRY_AFTER_S
    )
