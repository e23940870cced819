"""Leading accounts: takes those that are free, opens and closes their lines, gives way after a kick; for `connections`.

A thread of its own does what needs the database; the lines live in the event loop.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import structlog

from tool_server import wake
from tool_server.channel.account import WeComBotSocket
from tool_server.channel.accounts import Accounts
from tool_server.channel.bot_socket.connection import Pace
from tool_server.channel.bot_socket.inbox import Desk, Inbox
from tool_server.channel.bot_socket.line import Away, Hooks, Line
from tool_server.channel.bot_socket.metrics import SocketMetrics
from tool_server.channel.leaders import Leaders, State
from tool_server.channel.members import Members
from tool_server.database import DatabaseAway
from tool_server.settings import Settings

log = structlog.get_logger()

SURFACE = "wecom_bot_socket"
# How often the accounts are looked at, and the leaders of this machine are found dead.
TEND_S = 0.25
# Leases are renewed after this share of their time; after the second share without success nobody connects for us.
RENEW_SHARE = 0.2
TRUST_SHARE = 0.8
# A worker that has just come, or gone, moves no connection before this time.
EVEN_AFTER_S = 5.0
# What a line may take to say goodbye, and to write down what it has received.
CLOSE_S = 3.0
# States after which only a person can help.
GIVEN_UP = ("kicked", "refused")


@dataclass
class _Led:
    """One account that this process leads."""

    name: str
    fence: int
    line: Line
    task: asyncio.Task[None]


@dataclass(frozen=True)
class _Said:
    """What a line told of itself; written down by the tender."""

    name: str
    fence: int
    state: State
    reason: str


class Tender:
    """The accounts that this worker leads; their lines live in `loop`."""

    def __init__(
        self,
        settings: Settings,
        accounts: Accounts,
        leaders: Leaders,
        members: Members,
        metrics: SocketMetrics,
        desk: Desk,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._settings = settings
        self._accounts = accounts
        self._leaders = leaders
        self._members = members
        self._metrics = metrics
        self._desk = desk
        self._loop = loop
        self._pace = Pace(settings.channel_bot_ack_s, settings.channel_bot_ping_s)
        self._led: dict[str, _Led] = {}
        self._names: frozenset[str] = frozenset()
        self._renewed_at = time.monotonic()
        self._uneven_since: float | None = None
        self._said: queue.SimpleQueue[_Said | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="bot-tender", daemon=True)

    @property
    def names(self) -> frozenset[str]:
        """All accounts with a long connection, whoever leads them."""
        return self._names

    def start(self) -> None:
        """Know which accounts there are, then go on in the background."""
        self._names = frozenset(self._accounts.names_of(SURFACE))
        self._members.stay()
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._guard(), self._loop)

    def close(self) -> None:
        """Close every line and let others lead."""
        self._said.put(None)
        self._thread.join()
        for name in list(self._led):
            with suppress(DatabaseAway):  # then the lock of a process that ended says so
                self._drop(name, release=True)
        with suppress(DatabaseAway):
            self._members.leave()

    def up(self) -> set[str]:
        """Accounts that are connected here."""
        return {led.name for led in list(self._led.values()) if led.line.up}

    def line(self, bot: WeComBotSocket) -> Line:
        """The way to the platform. Raises `Away`."""
        for led in list(self._led.values()):
            if led.line.account.bot_id == bot.bot_id:
                return led.line
        raise Away("this process does not hold the account's connection")

    # -- the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        said: _Said | None = None
        while True:
            try:
                if said is not None:
                    self._note(said)
                said = None
                self._tend()
            except Exception as error:  # the database is away: the next round tries again
                log.error("connections.fault", exc_info=error)
                time.sleep(TEND_S)
            if said is not None:
                continue  # not written down yet
            try:
                said = self._said.get(timeout=TEND_S)
            except queue.Empty:
                continue
            if said is None:
                return

    def _tend(self) -> None:
        """Renew what is led, close what is not ours any more, lead what is free."""
        wanted = self._wanted()
        self._renew()
        for name, led in list(self._led.items()):
            account = wanted.get(name)
            gone = led.task.done() and not led.line.given_up
            if gone or account is None or not _same_login(account, led.line.account):
                self._drop(name, release=True)
        share = self._share(len(wanted))
        self._even_out(share)
        for name, account in wanted.items():
            if name in self._led or len(self._led) >= share:
                continue
            fence = self._leaders.take(name)
            if fence is not None:
                log.info("leader.taken", account=name, fence=fence)
                self._metrics.leaderships.inc()
                self._led[name] = self._wait(self._open(name, fence, account))

    def _share(self, accounts: int) -> int:
        if not accounts:
            return 0
        return min(self._settings.channel_bot_connections, self._members.share(accounts))

    def _even_out(self, share: int) -> None:
        """Who leads more than its share for a while lets one go at a time; another worker connects it at once."""
        if len(self._led) <= share:
            self._uneven_since = None
            return
        now = time.monotonic()
        if self._uneven_since is None:
            self._uneven_since = now
        elif now - self._uneven_since > EVEN_AFTER_S:
            name = next(reversed(self._led))
            log.info("leader.shared", account=name)
            self._drop(name, release=True)

    def _wanted(self) -> dict[str, WeComBotSocket]:
        """The accounts to be connected; no two have one bot (`Accounts.save` refuses that)."""
        names = self._accounts.names_of(SURFACE)
        self._names = frozenset(names)
        found: dict[str, WeComBotSocket] = {}
        for name in names:
            account = self._accounts.get(name)
            if isinstance(account, WeComBotSocket) and account.enabled:
                found[name] = account
        return found

    def _renew(self) -> None:
        now = time.monotonic()
        if now - self._renewed_at < self._settings.channel_lease_s * RENEW_SHARE:
            return
        self._members.stay()
        kept = self._leaders.renew({name: led.fence for name, led in self._led.items()})
        self._renewed_at = now
        for name in set(self._led) - kept:
            log.warning("leader.lost", account=name)
            self._drop(name, release=False)

    def _drop(self, name: str, *, release: bool) -> None:
        led = self._led.pop(name)
        self._wait(self._shut(led))
        self._count_up()
        if release:
            self._leaders.release(name, led.fence)

    def _note(self, said: _Said) -> None:
        """Write down how a connection stands; after a kick, or a hopeless login, nobody of ours connects."""
        led = self._led.get(said.name)
        if led is None or led.fence != said.fence:
            return
        if said.state in GIVEN_UP:
            self._give_way(said)
        else:
            self._leaders.say(said.name, said.fence, said.state, said.reason)
            log.info("connection.state", account=said.name, state=said.state, reason=said.reason)
        self._metrics.changes.labels(said.state).inc()
        self._count_up()
        if said.state == "up":
            wake.ring(self._settings.run_dir, "worker")

    def _give_way(self, said: _Said) -> None:
        """The hold is written first: until then the line that has given up stands in the way of a new one."""
        pause_s = self._settings.channel_bot_kicked_pause_s
        held = self._leaders.hold(said.name, said.fence, said.state, said.reason, for_s=pause_s)
        self._drop(said.name, release=False)
        if held:
            log.error(
                "connection.held",
                account=said.name,
                reason=said.reason,
                advice=f"Nobody connects until `shenqiao account connect {said.name}`.",
            )

    def _count_up(self) -> None:
        self._metrics.up.set(len(self.up()))

    def _wait[T](self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    # -- the loop -----------------------------------------------------------------------------

    async def _open(self, name: str, fence: int, account: WeComBotSocket) -> _Led:
        inbox = Inbox(name, account, self._desk)

        def said(state: State, reason: str) -> None:
            self._said.put(_Said(name, fence, state, reason))

        hooks = Hooks(inbox.take, said, self._metrics.acks_lost.inc)
        line = Line(account, self._settings.channel_wecom_bot_url, self._pace, hooks)
        return _Led(name, fence, line, asyncio.create_task(_live(line, inbox)))

    async def _shut(self, led: _Led) -> None:
        led.task.cancel()
        await asyncio.wait([led.task], timeout=2 * CLOSE_S)

    async def _guard(self) -> None:
        """Where the database is silent nobody knows whether we still lead: be gone before the lease ends."""
        while True:
            await asyncio.sleep(TEND_S)
            silent_s = time.monotonic() - self._renewed_at
            if silent_s > self._settings.channel_lease_s * TRUST_SHARE:
                for led in list(self._led.values()):
                    led.task.cancel()


async def _live(line: Line, inbox: Inbox) -> None:
    """A line with its inbox; what was received is written down before it ends."""
    reader = asyncio.create_task(inbox.run())
    try:
        await line.run()
    finally:
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await inbox.empty()
        reader.cancel()


def _same_login(one: WeComBotSocket, other: WeComBotSocket) -> bool:
    return (one.bot_id, one.secret) == (other.bot_id, other.secret)
