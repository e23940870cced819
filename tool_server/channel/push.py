"""Sending the pieces of an answer that is pushed, in order, each at most once on the person's screen; for `worker`."""

import structlog
from prometheus_client import Counter

from tool_server.channel.account import Account
from tool_server.channel.surfaces import SURFACES
from tool_server.channel.wecom_api import SendError, WeComApi
from tool_server.channel.work import Job, Work

log = structlog.get_logger()


class Pusher:
    """Sends what is pending of one message; the ledger says before each piece whether it is still ours."""

    def __init__(self, work: Work, api: WeComApi, sends: Counter, *, attempts: int) -> None:
        self._work = work
        self._api = api
        self._sends = sends
        self._attempts = attempts

    def push(self, job: Job, account: Account) -> None:
        """Send the pending pieces. What could not be sent is put off or given up, never forgotten."""
        pending = self._work.pieces(job)
        for piece in pending:
            self._work.check(job)
            try:
                platform_id = SURFACES[account.surface].send(self._api, account, piece.body)
            except SendError as error:
                self._count(error.code)
                self._fail(job, error)
                return
            self._count(0)
            self._work.sent(job, piece, platform_id, last=piece is pending[-1])

    def _fail(self, job: Job, error: SendError) -> None:
        reason = f"{error.code} {error}"
        log.warning("push.failed", message=job.id, code=error.code, reason=str(error))
        if error.again_in_s is None or job.attempts + 1 >= self._attempts:
            self._work.give_up(job, reason)
        else:
            self._work.later(job, reason, in_s=error.again_in_s * 2**job.attempts)

    def _count(self, code: int) -> None:
        self._sends.labels(str(code)).inc()
