"""The worker process: leases messages, asks the Dify app, delivers the answers; the second half of the message path."""

import os
import secrets
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from tool_server import logs, wake
from tool_server.channel.account import Account
from tool_server.channel.accounts import Accounts
from tool_server.channel.ask import Asker
from tool_server.channel.compose import Composed, Composer
from tool_server.channel.dify import Dify
from tool_server.channel.push import Pusher
from tool_server.channel.screen import LedgerScreen, NoScreen, Screen
from tool_server.channel.surface import Text
from tool_server.channel.surfaces import SURFACES
from tool_server.channel.vault import Vault
from tool_server.channel.wecom_api import WeComApi
from tool_server.channel.work import Job, LostLease, Work
from tool_server.database import Database
from tool_server.heartbeats import Heartbeat
from tool_server.owner import OwnerLock, is_dead
from tool_server.parent import follow_parent
from tool_server.settings import Settings

log = structlog.get_logger()

# Without a wake-up call the ledger is asked this often.
POLL_S = 0.25
SWEEP_S = 1.0


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
        self._owner = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._owners = settings.run_dir / "workers"
        self._lock = OwnerLock(self._owners, self._owner)
        self._bell = wake.Bell(settings.run_dir, "worker")
        self._database = Database.open(settings)
        self._work = Work(
            self._database,
            self._owner,
            lease_s=settings.channel_lease_s,
            ticket_ttl_s=settings.channel_ticket_ttl_s,
        )
        vault = Vault.open(settings.data_dir)
        self._accounts = Accounts(self._database, vault, settings.channel_dify_hosts)
        self._dify = Dify(ask_timeout_s=settings.channel_ask_timeout_s)
        self._api = WeComApi(settings.channel_wecom_url, timeout_s=settings.channel_wecom_timeout_s)
        self._asker = Asker(self._work, self._dify, settings.channel_conversation_idle_s)
        self._metrics = Metrics()
        self._composer = Composer(
            self._work, self._asker, self._metrics.failures, attempts=settings.channel_attempts
        )
        self._pusher = Pusher(
            self._work, self._api, self._metrics.sends, attempts=settings.channel_attempts
        )
        self._active: dict[int, Job] = {}
        self._pool = ThreadPoolExecutor(settings.channel_worker_slots, "slot")
        self._heartbeat = Heartbeat(
            settings.run_dir, f"worker-{os.getpid()}", self._metrics.registry, self._state
        )

    def __enter__(self) -> "Worker":
        self._heartbeat.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._heartbeat.stop()
        self._bell.close()
        self._dify.close()
        self._api.close()
        self._database.close()
        self._lock.close()

    def run(self, stopped: threading.Event) -> None:
        self._take_over()
        keeper = threading.Thread(target=self._keep, args=(stopped,), name="keeper", daemon=True)
        keeper.start()
        while not stopped.is_set():
            self._hand_out()
            self._bell.wait(POLL_S)
        keeper.join()

    def _hand_out(self) -> None:
        """Give free slots what may be worked on now."""
        while len(self._active) < self._settings.channel_worker_slots:
            if not self._work.waiting() or (job := self._work.lease()) is None:
                return
            self._active[job.id] = job
            self._pool.submit(self._slot, job)

    def _slot(self, job: Job) -> None:
        """One message in one thread: the rim where every fault of the work is logged once."""
        try:
            self.answer_message(job)
        except LostLease:
            log.warning("lease.lost", message=job.id, fence=job.fence)
        except Exception as error:  # a fault of ours must not lose the message
            log.error("worker.fault", message=job.id, exc_info=error)
            self._composer.put_off(job, "a fault of the worker")
        finally:
            del self._active[job.id]
            wake.ring(self._settings.run_dir, "worker")

    def answer_message(self, job: Job) -> None:
        """Compose, settle, push: what becomes of one leased message."""
        account = self._accounts.get(job.account)
        if account is None:
            self._work.give_up(job, "its account was removed")
            return
        if job.state == "asking":
            limits = SURFACES[account.surface].LIMITS
            composed = self._composer.compose(job, account, limits, self._screen(job, account))
            if composed is None or self._settle(job, account, composed) == "passive":
                return
        self._pusher.push(job, account)

    def _screen(self, job: Job, account: Account) -> Screen:
        if SURFACES[account.surface].LIMITS.first == "stream":
            return LedgerScreen(self._work, job)
        return NoScreen()

    def _settle(self, job: Job, account: Account, composed: Composed) -> str:
        """Store the answer and its mode in one transaction; then wake the web that may wait for it."""
        surface = SURFACES[account.surface]
        reply = None
        match composed.contents:
            case [Text(text)] if surface.LIMITS.first == "passive":
                reply = surface.seal_reply(account, job.address, text, now=time.time())
        texts = [content.text for content in composed.contents if isinstance(content, Text)]
        mode = self._work.settle(
            job,
            "\n\n".join(texts),
            bodies=surface.bodies(account, job.address, composed.contents, message_id=job.id),
            reply=reply,
            dify=composed.conversation,
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
            bodies = make(account, lost.address, [Text(lost.answer)], message_id=lost.id)
            if self._work.push_instead(lost.id, bodies):
                log.warning("passive.unfetched", message=lost.id)
                wake.ring(self._settings.run_dir, "worker")

    def _state(self) -> dict[str, object]:
        counts = self._work.counts()
        self._metrics.queue.set(sum(counts.values()))
        return {"active": len(self._active), "unfinished": counts}


class Metrics:
    """What a worker counts; sent with its heartbeat."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.answers = Counter(
            "shenqiao_channel_answers_total",
            "Answers by the way they take: passive or push.",
            ["mode"],
            registry=self.registry,
        )
        self.failures = Counter(
            "shenqiao_channel_failures_total",
            "Messages that got a sentence of ours instead of an answer, by Dify's error code.",
            ["code"],
            registry=self.registry,
        )
        self.sends = Counter(
            "shenqiao_channel_sends_total",
            "Calls of message/send by the platform's error code; 0 is success.",
            ["code"],
            registry=self.registry,
        )
        self.queue = Gauge(
            "shenqiao_channel_queue_messages",
            "Messages that are not answered yet.",
            registry=self.registry,
        )
