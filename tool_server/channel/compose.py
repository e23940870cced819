"""From a leased message to what its person gets: the steps in their order, and the sentence for all that goes wrong.

Called by `worker`; what is composed is a list of contents, still without the surface's form.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import structlog
from prometheus_client import Counter

from tool_server.channel import answer, chat_commands, kinds
from tool_server.channel.account import Account
from tool_server.channel.ask import Asker
from tool_server.channel.attachments import Attachments
from tool_server.channel.carry_out import Commands
from tool_server.channel.dify import Answered, DifyError
from tool_server.channel.finish import Finisher
from tool_server.channel.inbound import MediaError
from tool_server.channel.job import Job
from tool_server.channel.kf import handover
from tool_server.channel.language import Speaker
from tool_server.channel.meet import Events
from tool_server.channel.policy import Policy
from tool_server.channel.screen import Screen
from tool_server.channel.surface import Content, HandOver, Limits, Text
from tool_server.channel.work import Work

log = structlog.get_logger()

# Seconds before the n-th new try to reach Dify: 0.5, 2, 8, 32.
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 60.0
# What a person is told, by Dify's error code; all others are a failed run.
SENTENCES = {
    "unreachable": "unreachable",
    "cut": "unreachable",
    "timeout": "too_slow",
    "too_many_requests": "crowded",
    "rate_limit_error": "crowded",
    "provider_quota_exceeded": "crowded",
    "unauthorized": "misconfigured",
    "app_unavailable": "misconfigured",
    "not_chat_app": "misconfigured",
    "provider_not_initialize": "misconfigured",
    "file_too_large": "media_large",
    "unsupported_file_type": "media_unknown",
}


@dataclass(frozen=True)
class Composed:
    """What a person gets, in order; nothing for an event that asks nothing.

    `conversation` is Dify's to go on with, "" for none.
    """

    contents: Sequence[Content]
    conversation: str = ""


@dataclass(frozen=True)
class Composer:
    """Makes answers; holds nothing of a message between two calls."""

    work: Work
    policy: Policy
    commands: Commands
    events: Events
    attachments: Attachments
    asker: Asker
    finisher: Finisher
    speaker: Speaker
    failures: Counter
    attempts: int
    quote_characters: int

    def compose(
        self, job: Job, account: Account, limits: Limits, screen: Screen
    ) -> Composed | None:
        """What the person gets, or None when the message was put off. Each step answers or leaves it to the next."""
        try:
            return (
                self._stopped(job, account)
                or self._busy(job, account)
                or self._refused(job, account)
                or self._commanded(job, account)
                or self._met(job, account, limits)
                or self._unanswerable(job, account)
                or self._handed_over(job, account)
                or self._asked(job, account, limits, screen)
            )
        except MediaError as error:
            return self._unusable(job, account, error)
        except DifyError as error:
            return self._failed(job, account, error)

    def put_off(self, job: Job, reason: str) -> None:
        """Give the message back, to be taken up again after a pause that grows."""
        pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 4**job.attempts)
        self.work.later(job, reason, in_s=pause)

    def _stopped(self, job: Job, account: Account) -> Composed | None:
        """Stopped while it waited, or while a worker that died was at it."""
        return None if job.stopped_at is None else self._say(job, account, "stopped")

    def _busy(self, job: Job, account: Account) -> Composed | None:
        if not job.busy:
            return None
        return self._say(job, account, "busy", place=job.busy)

    def _refused(self, job: Job, account: Account) -> Composed | None:
        """Who may not ask is told so once they ask; their coming in and their thumbs are passed over."""
        name = self.policy.refusal(account, job, counts=kinds.is_question(job))
        if name is None:
            return None
        self.work.happened(job, "refused", reason=name)
        return Composed([]) if kinds.is_event(job) else self._say(job, account, name)

    def _commanded(self, job: Job, account: Account) -> Composed | None:
        command = kinds.command(job)
        if command is None:
            return None
        return Composed([Text(self.commands.run(command, job, account))])

    def _met(self, job: Job, account: Account, limits: Limits) -> Composed | None:
        if not kinds.is_event(job):
            return None
        said = self.events.meet(job, account)
        if said is None:
            return Composed([])
        as_buttons = 0 < len(said.questions) <= limits.choices
        return Composed([said if as_buttons else Text(said.plain)])

    def _unanswerable(self, job: Job, account: Account) -> Composed | None:
        name = kinds.sentence(job.kind)
        return None if name is None else self._say(job, account, name)

    def _handed_over(self, job: Job, account: Account) -> Composed | None:
        """A customer who wants a human gets one."""
        if not handover.asked_for(job.question, account):
            return None
        said = self._say(job, account, "handed_over")
        return Composed([*said.contents, HandOver()])

    def _asked(self, job: Job, account: Account, limits: Limits, screen: Screen) -> Composed:
        """A voice becomes its text, a file waits for one; with a text the app is asked."""
        self.events.pressed(job, account)
        if job.kind == "voice" and not job.question:
            job = replace(job, question=self.attachments.transcript(job, account))
            self.work.understood(job, job.question)
        waiting = self._uploaded(job, account)
        if not job.question:  # a file, or nothing but the assistant's name
            name = "files_kept" if waiting else "welcome"
            return self._say(job, account, name, number=waiting)
        files = self.attachments.take(job, account)
        answered = self.asker.ask(job, account, self._question(job, account), files, screen)
        return Composed(self._contents(job, account, limits, answered), answered.conversation)

    def _uploaded(self, job: Job, account: Account) -> int:
        """How many files wait for a question now. A quoted file that is of no use does not keep the question back."""
        if job.kind in kinds.WITH_FILES:
            return self.attachments.upload(job, account)
        if job.kind == "voice":
            return 0
        try:
            return self.attachments.upload(job, account)
        except MediaError as error:
            self.work.happened(job, "media.passed_over", sentence=error.sentence)
            return 0

    def _question(self, job: Job, account: Account) -> str:
        """What is asked, behind what its person quotes."""
        text = chat_commands.without_mention(job.question) if job.chat else job.question
        if not job.quote:
            return text
        quoted = self.speaker.say("quoted", job, account)
        return f"{quoted}\n{job.quote[: self.quote_characters]}\n\n{text}"

    def _contents(
        self, job: Job, account: Account, limits: Limits, answered: Answered
    ) -> list[Content]:
        """The answer; of a stopped one what was said so far, and that it was stopped."""
        if not answered.stopped:
            text, wanted = handover.split(answered.text, account)
            if wanted and not text:
                return [Text(self.speaker.say("handed_over", job, account)), HandOver()]
            contents = self.finisher.finish(job, account, limits, replace(answered, text=text))
            return [*contents, HandOver()] if wanted else contents
        note = self.speaker.say("stopped", job, account)
        if not answer.strip_reasoning(answered.text):
            return [Text(note)]
        cut = replace(answered, text=f"{answered.text.rstrip()}\n\n{note}", sources=())
        return self.finisher.finish(job, account, limits, cut)

    def _unusable(self, job: Job, account: Account, error: MediaError) -> Composed | None:
        log.warning("media.refused", message=job.id, sentence=error.sentence, reason=str(error))
        if error.retry and job.attempts + 1 < self.attempts:
            self.put_off(job, error.sentence)
            return None
        self.work.happened(job, "media.refused", sentence=error.sentence)
        return self._say(job, account, error.sentence)

    def _failed(self, job: Job, account: Account, error: DifyError) -> Composed | None:
        log.warning("ask.failed", message=job.id, code=error.code, attempt=job.attempts + 1)
        if error.retry and job.attempts + 1 < self.attempts:
            self.put_off(job, error.code)
            return None
        self.failures.labels(error.code).inc()
        self.work.happened(job, "ask.failed", code=error.code)
        self.attachments.give_back(job)
        return self._say(job, account, SENTENCES.get(error.code, "failed"))

    def _say(self, job: Job, account: Account, name: str, **values: int) -> Composed:
        return Composed([Text(self.speaker.say(name, job, account, **values))])
