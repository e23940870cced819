"""From a leased message to what its person gets: asks the app, and finds the sentence for all that goes wrong.

Called by `worker`; what is composed is a list of contents, still without the surface's form.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from prometheus_client import Counter

from tool_server.channel import answer
from tool_server.channel.account import Account
from tool_server.channel.ask import Asker
from tool_server.channel.dify import DifyError
from tool_server.channel.screen import Screen
from tool_server.channel.surface import Content, Limits, Text
from tool_server.channel.work import Job, Work

log = structlog.get_logger()

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


@dataclass(frozen=True)
class Composed:
    """An answer: its contents in order, and the Dify conversation to go on with ("" for none)."""

    contents: Sequence[Content]
    conversation: str = ""


class Composer:
    """Makes answers; holds nothing of a message between two calls."""

    def __init__(self, work: Work, asker: Asker, failures: Counter, *, attempts: int) -> None:
        self._work = work
        self._asker = asker
        self._failures = failures
        self._attempts = attempts

    def compose(
        self, job: Job, account: Account, limits: Limits, screen: Screen
    ) -> Composed | None:
        """The answer, or None when the message was put off."""
        if job.kind != "text" or not job.question:
            return self._sentence("text_only", job, account)
        try:
            answered = self._asker.ask(job, account, screen)
        except DifyError as error:
            return self._failed(job, account, error)
        texts = answer.render(answered, job.question, account, limits)
        return Composed([Text(text) for text in texts], answered.conversation)

    def put_off(self, job: Job, reason: str) -> None:
        """Give the message back, to be taken up again after a pause that grows."""
        pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 4**job.attempts)
        self._work.later(job, reason, in_s=pause)

    def _failed(self, job: Job, account: Account, error: DifyError) -> Composed | None:
        log.warning("ask.failed", message=job.id, code=error.code, attempt=job.attempts + 1)
        if error.retry and job.attempts + 1 < self._attempts:
            self.put_off(job, error.code)
            return None
        self._failures.labels(error.code).inc()
        self._work.happened(job, "ask.failed", code=error.code)
        return self._sentence(SENTENCES.get(error.code, "failed"), job, account)

    def _sentence(self, name: str, job: Job, account: Account) -> Composed:
        return Composed([Text(answer.sentence(name, job.question, account))])
