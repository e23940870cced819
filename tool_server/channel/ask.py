"""Getting the answer to a leased message from its Dify app, or from the run that a dead worker left; for `compose`."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from tool_server.channel.account import Account
from tool_server.channel.dify import (
    Answered,
    Attachment,
    Dify,
    DifyError,
    Found,
    Growing,
    Question,
    Started,
    UnknownConversation,
)
from tool_server.channel.job import Job
from tool_server.channel.memory import Memory
from tool_server.channel.people import People
from tool_server.channel.screen import Screen
from tool_server.channel.work import Work

log = structlog.get_logger()

# Rights that change while they are given are looked up again, so often.
GRANTS = 3
# How long a run that lost its reader may still turn out to have an answer.
LOOKUP_PAUSES_S = (0.3, 0.7)
# How often a run that has lost its reader is asked whether it has ended.
OUTLIVE_POLL_S = 0.5
# How often a running answer looks whether its person still wants it.
STOP_POLL_S = 0.5


@dataclass(frozen=True)
class Asker:
    """What asking needs besides the message: the ledger, Dify, what it remembers, and who asks."""

    work: Work
    dify: Dify
    memory: Memory
    people: People
    outlive_s: float  # how long a run without a reader is waited for
    sleep: Callable[[float], None] = time.sleep

    def ask(
        self,
        job: Job,
        account: Account,
        text: str,
        attachments: tuple[Attachment, ...],
        screen: Screen,
    ) -> Answered:
        """The app's answer, with exactly one run unless a worker died in one. Raises `DifyError`, `LostLease`."""
        same_rights = self._grant(job, account)
        earlier = job.dify_conversation if same_rights else ""
        conversation = self.memory.conversation(job.conversation) or earlier
        question = Question(text, job.user, conversation, job.ticket, attachments)
        again = ""
        if job.fence > 1:
            found, again = self._find_earlier_run(job, account, question)
            if found is not None:
                return found
            self.work.happened(job, "asked.again", why=again)
            question = self._with_good_ticket(job, question)
        try:
            return self._run(job, account, question, screen, again)
        except UnknownConversation:
            self.memory.forget(job.conversation)
            fresh = replace(question, conversation="")
            return self._run(job, account, fresh, screen, again)

    def _grant(self, job: Job, account: Account) -> bool:
        """Give the ticket its rights, again if they changed in this moment; see `Work.fill_ticket`."""
        same = True
        for _ in range(GRANTS):
            asker = self.people.asker(job.account, account, job.user, job.chat)
            same = self.work.fill_ticket(job, asker) and same
            if self.people.asker(job.account, account, job.user, job.chat) == asker:
                break
        if self.people.withheld(asker, self.work.given(job)):
            self.work.forget_conversation(job)
            return False
        return same

    def _run(
        self, job: Job, account: Account, question: Question, screen: Screen, again: str
    ) -> Answered:
        """One run to its end; to what was said so far, where its person stops it, on whatever worker they do."""
        started, said, look_at = None, "", 0.0
        try:
            for event in self.dify.ask(account, question):
                match event:
                    case Answered():
                        return replace(event, stopped=self.work.stopped(job))
                    case Started():
                        started = event
                        self._note_start(job, event, again)
                    case Growing(text, progress):
                        said = text
                        screen.show(text, progress=progress)
                if started is not None and time.monotonic() >= look_at:
                    look_at = time.monotonic() + STOP_POLL_S
                    if self.work.stopped(job):
                        self.dify.stop(account, started.task, job.user)
                        return Answered(said, started.conversation, stopped=True)
        except DifyError as error:
            if error.code == "timeout" and started is not None:
                self.dify.stop(account, started.task, job.user)
            raise
        raise DifyError("cut", "The app's stream ended early.", retry=True)

    def _note_start(self, job: Job, started: Started, again: str) -> None:
        self.work.run_started(
            job,
            task=started.task,
            message=started.message,
            conversation=started.conversation,
            run=started.run,
            again=again,
        )

    def _find_earlier_run(
        self, job: Job, account: Account, question: Question
    ) -> tuple[Answered | None, str]:
        """What became of the run before: its answer, or why the app must be asked again.

        It stands in the conversation that its first event named, else in the one that it was to go on with; where it
        was to begin one, it is known by its ticket alone.
        """
        question = replace(question, conversation=job.dify_conversation or question.conversation)
        found = self._recorded(account, question, job.dify_message)
        if found is None:
            return None, "an earlier lease left no run on record"
        if found.failed:
            raise DifyError("failed", "The app's run failed.", retry=False)
        if text := found.text or self._outlived(job, account):
            self.work.happened(job, "answer.found", dify_message=found.message)
            return Answered(text, found.conversation, found.sources, found.files), ""
        if job.dify_task:
            self.dify.stop(account, job.dify_task, job.user)
        if self.work.stopped(job):
            return Answered("", found.conversation, stopped=True), ""
        log.warning("run.lost", message=job.id, dify_message=job.dify_message)
        return None, "the answer of an earlier run was lost with its reader"

    def _recorded(self, account: Account, question: Question, message: str) -> Found | None:
        """The run's message, as soon as it has a text or failed, else as it is after a moment."""
        found = None
        for pause in (*LOOKUP_PAUSES_S, None):
            try:
                found = self.dify.find(account, question, message)
            except UnknownConversation:
                found = None
            if found is None or found.failed or found.text or pause is None:
                break
            self.sleep(pause)
        return found

    def _outlived(self, job: Job, account: Account) -> str:
        """The answer of a workflow that Dify went on with after its reader had died; empty where it has none.

        Its sources went with the reader: the text still cites them.
        """
        deadline = time.monotonic() + self.outlive_s
        while job.dify_run and not self.work.stopped(job):
            outcome = self.dify.outcome(account, job.dify_run)
            if outcome is None or not outcome.running:
                return outcome.text if outcome else ""
            if time.monotonic() >= deadline:
                break
            self.sleep(OUTLIVE_POLL_S)
        return ""

    def _with_good_ticket(self, job: Job, question: Question) -> Question:
        """The ticket of the lost run is bound to its conversation; in another one it would open nothing."""
        if not job.dify_conversation or job.dify_conversation == question.conversation:
            return question
        return replace(question, ticket=self.work.new_ticket(job))
