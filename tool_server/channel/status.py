"""What is still missing before an account answers, item by item; made for `status_routes`, and kept a while.

The examination of `doctor`, and what only this server knows: whether the platform has checked the callback URL,
whether messages come, how fast they are answered.
"""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa

from tool_server import heartbeats
from tool_server.channel.account import Account, WeComBotSocket
from tool_server.channel.checks import Check, check_dify, check_platform
from tool_server.channel.doctor import check_callbacks
from tool_server.channel.leaders import standings
from tool_server.channel.public import public_of
from tool_server.channel.said import Said
from tool_server.channel.schema import address_checks, messages
from tool_server.channel.status_words import WORDS, connection, seconds, when
from tool_server.database import Database
from tool_server.settings import Settings

# How far back messages are looked at.
LATELY_S = 7 * 86400.0

type State = Literal["ok", "todo", "note"]


@dataclass(frozen=True)
class Item:
    """One thing that was looked at; `said` is what to do, or what is known."""

    name: str
    state: State
    said: Said


class Reports:
    """Reports of accounts, each made at most once in a while: making one asks the platform and Dify."""

    def __init__(
        self, settings: Settings, database: Database, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._database = database
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[float, Account, list[Item]]] = {}

    def of(self, name: str, account: Account) -> list[Item]:
        """The newest report of the account; one who comes while another is made waits for that one."""
        with self._lock:
            kept = self._kept.get(name)
            fresh = kept and self._clock() - kept[0] < self._settings.channel_status_keep_s
            if kept is None or not fresh or kept[1] != account:
                items = list(_items(self._settings, self._database, name, account))
                kept = self._kept[name] = (self._clock(), account, items)
            return kept[2]


def _items(settings: Settings, database: Database, name: str, account: Account) -> Iterator[Item]:
    """In the order in which an administrator goes through them."""
    with ThreadPoolExecutor(3) as pool:  # the three wait for different servers
        platform = pool.submit(check_platform, settings, account)
        callbacks = pool.submit(check_callbacks, settings, name, account)
        dify = pool.submit(check_dify, settings, account)
    yield _enabled(account)
    yield _worker(settings)
    yield from map(_item, platform.result())
    if isinstance(account, WeComBotSocket):
        yield _connected(database, name)
    else:
        yield _public(settings, name, account)
        yield from (
            _item(check) for check in callbacks.result() if not check.advice or not check.ok
        )
        yield _verified(database, name)
    yield from map(_item, dify.result())
    yield from _messages(database, name)


def _item(check: Check) -> Item:
    if not check.ok:
        return Item(check.name, "todo", check.said)
    return Item(check.name, "note" if check.advice else "ok", check.said)


def _enabled(account: Account) -> Item:
    return _known("account", "on", "ok") if account.enabled else _known("account", "off", "todo")


def _worker(settings: Settings) -> Item:
    """On this machine; one that runs elsewhere alone is not seen from here."""
    now = time.time()
    beats = heartbeats.read(settings.run_dir)
    runs = any(beat.name.startswith("worker") and beat.fresh(now) for beat in beats)
    return _known("worker", "runs", "ok") if runs else _known("worker", "gone", "todo")


def _public(settings: Settings, name: str, account: Account) -> Item:
    public = public_of(settings, name, account)
    if public.base:
        return Item("public", "ok", Said(public.callback, public.callback))
    return _known("public", "callback" if public.callback else "unknown", "note")


def _verified(database: Database, name: str) -> Item:
    """Whether the platform has asked at the callback URL, as it does when the console saves it."""
    found = sa.select(address_checks.c.at).where(address_checks.c.account == name)
    at = database.read(lambda db: db.scalar(found))
    return Item("verified", "ok", when(at)) if at else _known("verified", "never", "todo")


def _connected(database: Database, name: str) -> Item:
    """As the worker that leads the account has noted it; nothing is tried, which could disturb it."""
    standing = next(iter(standings(database, [name])), None)
    state = standing.state if standing and (standing.led or standing.state != "up") else "none"
    return Item("connection", "ok" if state == "up" else "todo", connection(state))


def _messages(database: Database, name: str) -> Iterator[Item]:
    """The newest message, how long the newest answer took, and what failed."""
    since = time.time() - LATELY_S
    mine = sa.and_(
        messages.c.account == name, messages.c.received_at > since, messages.c.kind != "event"
    )
    newest = sa.select(sa.func.max(messages.c.received_at)).where(mine)
    answered = (
        sa.select(messages.c.finished_at - messages.c.received_at)
        .where(mine, messages.c.state == "done", messages.c.model_runs > 0)
        .order_by(messages.c.id.desc())
    )
    failed = sa.select(sa.func.count()).where(mine, messages.c.state == "failed")
    at, took, lost = database.read(
        lambda db: (db.scalar(newest), db.scalar(answered.limit(1)), db.scalar(failed) or 0)
    )
    if not at:
        yield _known("message", "none", "todo")
        return
    yield Item("message", "ok", when(at))
    yield Item("answer", "ok", seconds(took)) if took else _known("answer", "none", "todo")
    if lost:
        some = WORDS["failed", "some"]
        yield Item("failed", "todo", Said(some.en.format(lost), some.zh.format(lost)))


def _known(name: str, word: str, state: State) -> Item:
    return Item(name, state, WORDS[name, word])
