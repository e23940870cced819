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
from tool_server.channel import answer
from tool_server.channel.accounts import Account, Accounts
from tool_server.channel.ask import Asker
from tool_server.channel.dify import Dify, DifyError
from tool_server.channel.push import Pusher
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
# Seconds before the n-th new try to reach Dify: 0.5, 2, 8, 32.
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 60.0
# What a person is told, by Dify's error code; all others are a failed run.
SENTENCES = {
    "unreachable": "unreachable",
    "cut": "unreachable",
    "unauthorized": "misconfigured",
    "app_unavailable": "misconfigured",
    "not_chat_app": "misconfigured",
    "provider_not_initialize": "misconfigured",
}


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
            self._put_off(job, "a fault of the worker")
        finally:
            del self._active[job.id]
            wake.ring(self._settings.run_dir, "worker")

    def answer_message(self, job: Job) -> None:
        """Ask, settle, push: what becomes of one leased message."""
        account = self._accounts.get(job.account)
        if account is None:
            self._work.give_up(job, "its account was removed")
            return
        if job.state == "asking":
            pieces = self._ask(job, account)
            if pieces is None or self._settle(job, account, pieces) == "passive":
                return
        self._pusher.push(job, account)

    def _ask(self, job: Job, account: Account) -> "_Pieces | None":
        """The answer's pieces, or None when the message was put off."""
        if job.kind != "text" or not job.question:
            return _Pieces([answer.sentence("text_only", job.question, account)])
        try:
            answered = self._asker.ask(job, account)
        except DifyError as error:
            log.warning("ask.failed", message=job.id, code=error.code, attempt=job.attempts + 1)
            if error.retry and job.attempts + 1 < self._settings.channel_attempts:
                self._put_off(job, error.code)
                return None
            self._metrics.failures.labels(error.code).inc()
            self._work.happened(job, "ask.failed", code=error.code)
            name = SENTENCES.get(error.code, "failed")
            return _Pieces([answer.sentence(name, job.question, account)])
        limits = SURFACES[account.surface].LIMITS
        return _Pieces(
            answer.render(answered, job.question, account, limits), answered.conversation
        )

    def _settle(self, job: Job, account: Account, pieces: "_Pieces") -> str:
        """Store the answer and its mode in one transaction; then wake the web that may wait for it."""
        surface = SURFACES[account.surface]
        reply = None
        if len(pieces.texts) == 1:
            reply = surface.seal_reply(account, job.user, pieces.texts[0], now=time.time())
        mode = self._work.settle(
            job,
            "\n\n".join(pieces.texts),
            bodies=self._bodies(account, job.user, job.id, pieces.texts),
            reply=reply,
            dify=pieces.conversation,
        )
        wake.ring(self._settings.run_dir, "web", str(job.id))
        self._metrics.answers.labels(mode).inc()
        return mode

    def _bodies(self, account: Account, user: str, message_id: int, texts: list[str]) -> list[str]:
        send_body = SURFACES[account.surface].send_body
        return [send_body(account, user, text, message_id=message_id) for text in texts]

    def _put_off(self, job: Job, reason: str) -> None:
        pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 4**job.attempts)
        self._work.later(job, reason, in_s=pause)

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
        for message_id, name, user, text in self._work.unfetched(before):
            account = self._accounts.get(name)
            if account is None:
                continue
            bodies = self._bodies(account, user, message_id, [text])
            if self._work.push_instead(message_id, bodies):
                log.warning("passive.unfetched", message=message_id)
                wake.ring(self._settings.run_dir, "worker")

    def _state(self) -> dict[str, object]:
        counts = self._work.counts()
        self._metrics.queue.set(sum(counts.values()))
        return {"active": len(self._active), "unfinished": counts}


class _Pieces:
    """An answer's texts, and the Dify conversation to go on with."""

    def __init__(self, texts: list[str], conversation: str = "") -> None:
        self.texts = texts
        self.conversation = conversation


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
