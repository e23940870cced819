"""The thread of a worker that reads customer service: callbacks only say that there is something, here it is fetched.

A wish to read is on disk before its callback is answered; the cursor is stored with the messages before it (`kf.page`).
"""

import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import sqlalchemy as sa
import structlog
from prometheus_client import CollectorRegistry, Counter

from tool_server import wake
from tool_server.channel.account import WeComKf
from tool_server.channel.accounts import Accounts
from tool_server.channel.kf import sessions
from tool_server.channel.kf.cursors import Cursors, LostSource, Source
from tool_server.channel.kf.listing import service_accounts
from tool_server.channel.kf.page import Page, Taken, Taker, read_page, request
from tool_server.channel.ledger import Ledger
from tool_server.channel.wecom_api import SendError, WeComApi
from tool_server.database import Database
from tool_server.errors import Unavailable
from tool_server.owner import is_dead
from tool_server.settings import Settings

log = structlog.get_logger()

# Without a wake-up call the table is asked this often; and this often for processes that died.
POLL_S = 0.5
# A worker that was restarted reads at once, unless somebody has read just now.
JUST_READ_S = 5.0
BAD_TOKEN = 95007
FULL_PAUSE_S = 0.5
LONGEST_PAUSE_S = 60.0


@dataclass(frozen=True)
class Reader:
    """Who reads: the process's name and the folder that says which others live."""

    owner: str
    owners: Path


class Puller:
    """Reads what callbacks, the start and the clock want to be read, one page after the other."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        accounts: Accounts,
        api: WeComApi,
        reader: Reader,
        registry: CollectorRegistry,
    ) -> None:
        self._settings = settings
        self._database = database
        self._accounts = accounts
        self._api = api
        self._reader = reader
        self._cursors = Cursors(database, reader.owner, lease_s=settings.channel_lease_s)
        self._ledger = Ledger.open(database, settings)
        self._taker = Taker(self._ledger, self._cursors, settings.channel_attempts)
        self._failures: dict[tuple[str, str], int] = defaultdict(int)
        self._metrics = Metrics(registry)

    def start(self, stopped: threading.Event) -> threading.Thread:
        """The thread; it ends soon after `stopped` is set."""
        thread = threading.Thread(target=self._run, args=(stopped,), name="puller", daemon=True)
        thread.start()
        return thread

    def _run(self, stopped: threading.Event) -> None:
        look_at, read_before = 0.0, JUST_READ_S
        with wake.Bell(self._settings.run_dir, "puller") as bell:
            while not stopped.is_set():
                try:
                    if time.monotonic() >= look_at:
                        look_at = time.monotonic() + self._settings.channel_kf_look_s
                        self._look_around(time.time() - read_before)
                        read_before = self._settings.channel_kf_look_s / 2
                    self._read_all(stopped)
                except (
                    Exception
                ) as error:  # the next round tries again; without it nothing comes in
                    log.error("worker.fault", exc_info=error)
                bell.wait(POLL_S)

    def _read_all(self, stopped: threading.Event) -> None:
        self._take_over()
        while not stopped.is_set() and self._cursors.waiting():
            if (source := self._cursors.lease()) is None:
                return
            self._turn(source)

    def _turn(self, source: Source) -> None:
        """Some pages of one service account; the rim of everything that can go wrong with it."""
        name = (source.account, source.open_kfid)
        try:
            self._read(source)
        except LostSource:
            log.warning("pull.lost", account=source.account, source=source.open_kfid)
        except SendError as error:
            self._metrics.pulls.labels(str(error.code)).inc()
            self._failures[name] += 1
            self._put_off(source, error, self._failures[name])
        except Unavailable:
            self._cursors.later(source, in_s=FULL_PAUSE_S)
        else:
            self._failures.pop(name, None)

    def _read(self, source: Source) -> None:
        account = self._accounts.get(source.account)
        if not isinstance(account, WeComKf) or not account.enabled:
            self._cursors.done(source)
            return
        for _ in range(self._settings.channel_kf_pages):
            limit = self._room()
            if not limit:
                self._cursors.later(source, in_s=FULL_PAUSE_S)
                return
            page = self._fetch(account, source, limit)
            self._take(account, source, page)
            source = replace(source, cursor=page.cursor)
            if not page.more:  # an empty page is no end
                self._cursors.done(source)
                return
        self._cursors.later(source, in_s=0.0)

    def _fetch(self, account: WeComKf, source: Source, limit: int) -> Page:
        body = request(source, limit=limit)
        answer = self._api.call(account, "/cgi-bin/kf/sync_msg", body)
        self._metrics.pulls.labels("0").inc()
        return read_page(account, source.open_kfid, answer, source.cursor)

    def _take(self, account: WeComKf, source: Source, page: Page) -> None:
        released = self._released(account, source, page)

        def work(db: sa.Connection) -> Taken:
            return self._taker.take(db, source, page, released)

        taken = self._database.write(work)
        for claim, incoming in taken.claims:
            self._ledger.announce(claim, incoming)
        self._metrics.count(taken, page.unreadable)
        if page.items or page.unreadable:
            log.info(
                "pull.taken",
                account=source.account,
                new=taken.new,
                repeated=taken.repeated,
                noted=taken.noted,
                unreadable=page.unreadable,
            )
        if taken.new or taken.fates:
            wake.ring(self._settings.run_dir, "worker")

    def _released(self, account: WeComKf, source: Source, page: Page) -> Sequence[str]:
        """Customers with a human as far as the events say, who have none any more: an event may have been lost.

        Only asked at the end of what there is; before it, the event may still come.
        """
        if page.more:
            return ()
        name, open_kfid = source.account, source.open_kfid
        served = sessions.served_by_humans(self._database, name, open_kfid, page.customers())
        return [user for user in served if self._is_free(account, open_kfid, user)]

    def _is_free(self, account: WeComKf, open_kfid: str, user: str) -> bool:
        state = sessions.state_of(self._api, account, open_kfid, user)
        return state not in (sessions.POOL, sessions.HUMAN)

    def _room(self) -> int:
        """How many messages may be fetched now; 0 while the queue is so full that a page would not be worth a call.

        What is not fetched waits with the platform, three days long.
        """
        limit = self._settings.channel_kf_page
        room = self._settings.channel_queue_limit - self._ledger.unfinished()
        return min(limit, room) if room >= min(limit, self._settings.channel_queue_limit / 2) else 0

    def _put_off(self, source: Source, error: SendError, failures: int) -> None:
        log.warning("pull.failed", account=source.account, code=error.code, failures=failures)
        if error.code == BAD_TOKEN and source.token:
            self._cursors.later(source, in_s=0.0, drop_token=True)
            return
        pause = min(LONGEST_PAUSE_S, 2.0 ** min(failures, 10))
        self._cursors.later(source, in_s=max(error.again_in_s or 0.0, pause))

    def _look_around(self, read_before: float) -> None:
        """Every service account that was not read since `read_before` is to be read, callback or not."""
        since = time.time() - self._settings.channel_kf_fresh_s
        for name in self._accounts.names():
            account = self._accounts.get(name)
            if isinstance(account, WeComKf) and account.enabled:
                for open_kfid in service_accounts(self._api, account):
                    self._cursors.want(name, open_kfid, since=since, read_before=read_before)

    def _take_over(self) -> None:
        for owner in self._cursors.owners():
            if is_dead(self._reader.owners, owner):
                self._cursors.take_from(owner)
                log.warning("pull.taken_over", owner=owner)


class Metrics:
    """What the reading is counted by."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.pulls = Counter(
            "shenqiao_channel_kf_pulls_total",
            "Calls of kf/sync_msg by the platform's error code; 0 is success.",
            ["code"],
            registry=registry,
        )
        self._items = Counter(
            "shenqiao_channel_kf_items_total",
            "Items of customer service: new, repeated, noted, unreadable.",
            ["result"],
            registry=registry,
        )
        self._fails = Counter(
            "shenqiao_channel_kf_fails_total",
            "Messages that the platform took and failed later: again, held, given up, unknown.",
            ["fate"],
            registry=registry,
        )

    def count(self, taken: Taken, unreadable: int) -> None:
        self._items.labels("new").inc(taken.new)
        self._items.labels("repeated").inc(taken.repeated)
        self._items.labels("noted").inc(taken.noted)
        self._items.labels("unreadable").inc(unreadable)
        for fate in taken.fates:
            self._fails.labels(fate).inc()
