"""Sending the pieces of an answer that is pushed, in order, each at most once on the person's screen; for `worker`."""

from collections.abc import Mapping

import structlog
from prometheus_client import Counter

from tool_server.channel import answer
from tool_server.channel.account import Account
from tool_server.channel.job import Job
from tool_server.channel.surface import Api, Text
from tool_server.channel.surfaces import SURFACES
from tool_server.channel.wecom_api import SendError
from tool_server.channel.work import Work

log = structlog.get_logger()


# A message whose connection is away comes back after this long; it is leased when there is one again.
AWAY_S = 0.5


class NotConnected(SendError):
    """There is no connection to send over now: that says nothing about the message, and is no try."""

    def __init__(self, reason: str) -> None:
        super().__init__(0, reason, again_in_s=AWAY_S)


class Pusher:
    """Sends what is pending of one message; the ledger says before each piece whether it is still ours.

    `apis` holds what surfaces with a transport of their own send with, all others use `api`.
    """

    def __init__(
        self,
        work: Work,
        api: Api,
        sends: Counter,
        *,
        attempts: int,
        apis: Mapping[str, Api],
    ) -> None:
        self._work = work
        self._api = api
        self._apis = apis
        self._sends = sends
        self._attempts = attempts

    def push(self, job: Job, account: Account) -> None:
        """Send the pending pieces. What could not be sent is put off or given up, never forgotten."""
        pending = self._work.pieces(job)
        for piece in pending:
            self._work.check(job)
            try:
                api = self._apis.get(account.surface, self._api)
                platform_id = SURFACES[account.surface].send(api, account, piece.body)
            except NotConnected as error:
                self._work.give_back(job, str(error), in_s=AWAY_S)
                return
            except SendError as error:
                self._count(error.code)
                self._fail(job, account, error)
                return
            self._count(0)
            self._work.sent(job, piece, platform_id, last=piece is pending[-1])

    def give_up(self, job: Job, account: Account, reason: str) -> None:
        """The end of a message that cannot be answered; its person is told, if anything still reaches them."""
        text = answer.sentence("undelivered", job.question, account)
        make = SURFACES[account.surface].bodies
        try:
            (words,) = make(account, job.address, [Text(text)], message_id=job.id)
        except Exception as error:  # a fault of ours must not hide the first one
            log.error("worker.fault", message=job.id, exc_info=error)
            words = ""
        if self._work.give_up(job, reason, words):
            self.push(job, account)

    def _fail(self, job: Job, account: Account, error: SendError) -> None:
        reason = f"{error.code} {error}"
        log.warning("push.failed", message=job.id, code=error.code, reason=str(error))
        if error.again_in_s is None or job.attempts + 1 >= self._attempts:
            self.give_up(job, account, reason)
        else:
            self._work.later(job, reason, in_s=error.again_in_s * 2**job.attempts)

    def _count(self, code: int) -> None:
        self._sends.labels(str(code)).inc()
