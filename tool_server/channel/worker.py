"""The worker process: leases messages, asks the Dify app, delivers the answers; the second half of the message path."""

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import structlog

from tool_server import logs, wake
from tool_server.channel.account import Account
from tool_server.channel.accounts import Accounts
from tool_server.channel.asking import Asking
from tool_server.channel.bot_socket.connections import Connections
from tool_server.channel.bot_socket.metrics import SocketMetrics
from tool_server.channel.bot_socket.tender import SURFACE as BOT_SOCKET
from tool_server.channel.compose import Composed
from tool_server.channel.erase import Eraser
from tool_server.channel.job import Job, LostLease
from tool_server.channel.kf.sessions import silence
from tool_server.channel.leaders import Leaders
from tool_server.channel.leasing import SUSPECT
from tool_server.channel.measures import Metrics
from tool_server.channel.members import Members
from tool_server.channel.people import Ages, People, no_bases, nothing_withheld
from tool_server.channel.policy import Policy
from tool_server.channel.pulls import Puller, Reader
from tool_server.channel.push import Pusher
from tool_server.channel.screen import NoScreen, Screen, Screens, ending
from tool_server.channel.surface import Content, Picture, Text, words_of
from tool_server.channel.surfaces import STREAMS, SURFACES
from tool_server.channel.token_ages import token_ages
from tool_server.channel.token_shelf import LedgerShelf
from tool_server.channel.upkeep import Upkeep
from tool_server.channel.vault import Vault
from tool_server.channel.wecom_api import WeComApi
from tool_server.channel.work import Work
from tool_server.database import Database, DatabaseAway
from tool_server.heartbeats import Heartbeat
from tool_server.knowledge.closed import ClosedBases
from tool_server.owner import OwnerLock, is_dead, new_owner
from tool_server.parent import follow_parent
from tool_server.settings import Settings
from tool_server.wake_nodes import Listener

log = structlog.get_logger()

# Without a wake-up call the ledger is asked this often.
POLL_S = 0.25
SWEEP_S = 1.0
# Of many that wait a worker takes some with one commit, and leaves the others to those beside it.
LEASED_AT_ONCE = 8
# Beyond the slots: for messages that are answered at once, however long the others take.
QUICK_SLOTS = 2


def main(settings: Settings) -> None:
    """Work until SIGTERM; what is in hand then is taken up by the next worker."""
    logs.configure(settings, "worker")
    follow_parent()
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    with Worker(settings) as worker:
        worker.run(stopped)


class Worker:
    """Slots that answer messages, one thread that hands them out, one that keeps leases and sweeps."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._owners = settings.run_dir / "workers"
        self._owner = new_owner(self._owners)
        self._lock = OwnerLock(self._owners, self._owner)
        self._bell = wake.Bell(settings.run_dir, "worker")
        self._database = Database.open(settings)
        self._work = Work(
            self._database,
            self._owner,
            lease_s=settings.channel_lease_s,
            ticket_ttl_s=settings.channel_ticket_ttl_s,
        )
        self._metrics = Metrics()
        vault = Vault.open(settings.data_dir)
        self._accounts = Accounts(self._database, vault, settings.channel_dify_hosts)
        self._api = WeComApi(
            settings.channel_wecom_url,
            timeout_s=settings.channel_wecom_timeout_s,
            shelf=LedgerShelf(self._database, vault),
            token_fetched=self._metrics.token_fetched,
        )
        self._closed = ClosedBases(settings) if settings.knowledge_enabled else None
        self._people = People(
            self._database,
            self._accounts,
            Ages.of(settings),
            self._api,
            closed=self._closed or no_bases,
            withheld=self._closed.withheld if self._closed else nothing_withheld,
        )
        self._policy = Policy(self._database, self._people)
        self._connections = Connections(
            settings,
            self._database,
            self._accounts,
            self._work,
            Leaders(self._database, self._owner, self._owners, lease_s=settings.channel_lease_s),
            Members(self._database, self._owner, self._owners, lease_s=settings.channel_lease_s),
            SocketMetrics(self._metrics.registry),
        )
        self._asking = Asking.open(
            settings,
            database=self._database,
            accounts=self._accounts,
            work=self._work,
            platform=self._api,
            people=self._people,
            policy=self._policy,
            metrics=self._metrics,
            apart={BOT_SOCKET: self._connections},
        )
        self._composer = self._asking.composer
        self._upkeep = Upkeep(settings, self._database, self._accounts, self._metrics.registry)
        self._pusher = Pusher(
            self._work,
            self._api,
            self._metrics.sends,
            attempts=settings.channel_attempts,
            apis={BOT_SOCKET: self._connections},
        )
        self._screens = Screens(self._work, self._metrics.first_text.observe)
        self._listener = Listener(self._database, self._bell)
        self._eraser = Eraser(self._database, settings)
        self._puller = Puller(
            settings,
            self._database,
            self._accounts,
            self._api,
            Reader(self._owner, self._owners),
            self._metrics.registry,
        )
        self._active: dict[int, Job] = {}
        self._pool = ThreadPoolExecutor(settings.channel_worker_slots + QUICK_SLOTS, "slot")
        self._heartbeat = Heartbeat(
            settings.run_dir, f"worker-{os.getpid()}", self._metrics.registry, self._state
        )

    def __enter__(self) -> "Worker":
        self._connections.start()
        self._screens.start()
        self._heartbeat.start()
        self._upkeep.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._upkeep.stop()
        self._connections.close()
        self._screens.close()
        self._heartbeat.stop()
        self._listener.close()
        self._bell.close()
        self._asking.close()
        self._api.close()
        if self._closed is not None:
            self._closed.close()
        self._database.close()
        self._lock.close()

    def run(self, stopped: threading.Event) -> None:
        self._take_over()
        keeper = threading.Thread(target=self._keep, args=(stopped,), name="keeper", daemon=True)
        keeper.start()
        sender = threading.Thread(
            target=self._asking.feedbacks.run, args=(stopped,), name="feedback", daemon=True
        )
        sender.start()
        puller = self._puller.start(stopped)
        while not stopped.is_set():
            try:
                self._hand_out()
            except DatabaseAway as error:
                log.warning("database.away", reason=str(error))
            self._bell.wait(POLL_S)
            self._bell.drain()
        keeper.join()
        sender.join()
        puller.join()

    def _hand_out(self) -> None:
        """Give free slots what may be worked on now."""
        slots = self._settings.channel_worker_slots
        while (taken := len(self._active)) < slots + QUICK_SLOTS:
            quick, without = taken >= slots, self._connections.not_ours()
            suspects = all(job.takeovers < SUSPECT for job in list(self._active.values()))
            if not self._work.waiting(without, quick=quick, suspects=suspects):
                return
            free = min(LEASED_AT_ONCE, slots + (QUICK_SLOTS if quick else 0) - taken)
            if not (jobs := self._work.lease_some(free, without, quick=quick, suspects=suspects)):
                return
            for job in jobs:
                self._active[job.id] = job
                self._pool.submit(self._slot, job)

    def _slot(self, job: Job) -> None:
        """One message in one thread: the rim where every fault of the work is logged once."""
        try:
            self.answer_message(job)
        except LostLease:
            log.warning("lease.lost", message=job.id, fence=job.fence)
        except DatabaseAway as error:  # its lease ends, then the ledger says how far it came
            log.warning("database.away", message=job.id, reason=str(error))
        except Exception as error:  # a fault of ours must not lose the message
            log.error("worker.fault", message=job.id, exc_info=error)
            self._after_fault(job)
        finally:
            self._screens.done(job)
            del self._active[job.id]
            wake.ring(self._settings.run_dir, "worker")

    def _after_fault(self, job: Job) -> None:
        """Another try, or the end with a sentence: one message must not fail for ever."""
        with suppress(LostLease, DatabaseAway):  # then it is another's, or its lease ends
            if job.attempts + 1 < self._settings.channel_attempts:
                self._composer.put_off(job, "a fault of the worker")
            elif account := self._accounts.get(job.account):
                self._pusher.give_up(job, account, "a fault of the worker")
            else:
                self._work.give_up(job, "a fault of the worker")

    def answer_message(self, job: Job) -> None:
        """Compose, settle, push: what becomes of one leased message."""
        account = self._accounts.get(job.account)
        if account is None:
            self._work.give_up(job, "its account was removed")
            return
        if job.takeovers >= self._settings.channel_takeovers:
            log.error("message.poisonous", message=job.id, takeovers=job.takeovers)
            self._metrics.poisonous.inc()
            self._pusher.give_up(job, account, f"{job.takeovers} workers died of it")
            return
        if job.state == "asking":
            if reason := self._silence(job, account):
                self._work.set_aside(job, reason)
                return
            limits, screen = SURFACES[account.surface].LIMITS, self._screen(job, account)
            composed = self._composer.compose(job, account, limits, screen)
            if composed is None or self._settle(job, account, composed, screen) != "push":
                return
        self._pusher.push(job, account)

    def _silence(self, job: Job, account: Account) -> str:
        """Why this message gets no answer now; empty for nearly all."""
        pool_is_human = self._settings.channel_kf_pool_is_human
        return silence(self._api, account, job.address, pool_is_human=pool_is_human)

    def _screen(self, job: Job, account: Account) -> Screen:
        if account.surface == BOT_SOCKET:
            return self._connections.screen(job, account) or NoScreen()
        return self._screens.open(job) if account.surface in STREAMS else NoScreen()

    def _settle(self, job: Job, account: Account, composed: Composed, screen: Screen) -> str:
        """Store the answer and its mode in one transaction; then wake the web that may wait for it."""
        if not composed.contents:
            self._work.nothing(job, "nothing is said to this")
            wake.ring(self._settings.run_dir, "web", str(job.id))
            return "nothing"
        surface = SURFACES[account.surface]
        reply = None
        match composed.contents:
            case [Text(text)] if not composed.conversation and screen.shown:
                composed = Composed([Text(ending(screen.shown, text))])
            case [Text(text)] if surface.LIMITS.first != "push" and account.passive:
                reply = surface.seal_reply(account, job.address, text, now=time.time())
        texts = [said for content in composed.contents if (said := words_of(content))]
        mode = self._work.settle(
            job,
            "\n\n".join(texts),
            bodies=surface.bodies(account, job.address, composed.contents, message_id=job.id),
            reply=reply,
            dify=composed.conversation,
            pictures=[one for one in composed.contents if isinstance(one, Picture)],
        )
        wake.ring(self._settings.run_dir, "web", str(job.id))
        self._metrics.answers.labels(mode).inc()
        return mode

    def _keep(self, stopped: threading.Event) -> None:
        """Each second: renew leases, take over from the dead, push what no connection fetched."""
        while not stopped.wait(SWEEP_S):
            try:
                self._work.renew(list(self._active))
                self._take_over()
                self._sweep()
                self._eraser.sweep()
            except Exception as error:  # the next round tries again; without it leases would end
                log.error("worker.fault", exc_info=error)

    def _take_over(self) -> None:
        for owner in self._work.owners():
            if is_dead(self._owners, owner):
                held = self._work.take_from(owner)
                log.warning("worker.lost", owner=owner, messages=held)

    def _sweep(self) -> None:
        before = time.time() - self._settings.channel_sweep_after_s
        for lost in self._work.unfetched(before):
            account = self._accounts.get(lost.account)
            if account is None:
                continue
            make = SURFACES[account.surface].bodies
            contents: list[Content] = [Text(lost.answer), *self._work.pictures(lost.id)]
            bodies = make(account, lost.address, contents, message_id=lost.id)
            if self._work.push_instead(lost.id, bodies):
                log.warning("passive.unfetched", message=lost.id)
                wake.ring(self._settings.run_dir, "worker")

    def _state(self) -> dict[str, object]:
        try:
            counts, connections = self._work.counts(), self._connections.states()
        except DatabaseAway:
            return {"active": len(self._active), "database": "away"}
        self._metrics.queue.set(sum(counts.values()))
        self._metrics.streams.set(self._screens.count())
        self._metrics.show_ages(token_ages(self._database, self._accounts.everything()))
        return {"active": len(self._active), "unfinished": counts, "connections": connections}
