"""Getting the answer to one leased message from its Dify app, or from the run that a dead worker left; for `worker`."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from tool_server.channel.account import Account
from tool_server.channel.answer import strip_reasoning
from tool_server.channel.dify import (
    Answered,
    Dify,
    DifyError,
    Growing,
    Question,
    Started,
    UnknownConversation,
)
from tool_server.channel.screen import Screen
from tool_server.channel.work import Job, Work

log = structlog.get_logger()

# How long a run that lost its reader may still turn out to have an answer.
LOOKUP_PAUSES_S = (0.3, 0.7)


@dataclass(frozen=True)
class Asker:
    """What asking needs besides the message: the ledger, Dify, and how long a conversation lives."""

    work: Work
    dify: Dify
    idle_s: float
    sleep: Callable[[float], None] = time.sleep

    def ask(self, job: Job, account: Account, screen: Screen) -> Answered:
        """The app's answer, with exactly one run unless a worker died in one. Raises `DifyError`, `LostLease`."""
        question = self._question(job)
        again = ""
        if job.fence > 1:
            found, again = self._find_earlier_run(job, account, question)
            if found is not None:
                return found
        try:
            return self._run(job, account, question, screen, again)
        except UnknownConversation:
            self.work.forget_conversation(job)
            fresh = Question(job.question, job.user, "", job.ticket)
            return self._run(job, account, fresh, screen, again)

    def _question(self, job: Job) -> Question:
        conversation = self.work.conversation(job, idle_s=self.idle_s) or job.dify_conversation
        return Question(job.question, job.user, conversation, job.ticket)

    def _run(
        self, job: Job, account: Account, question: Question, screen: Screen, again: str
    ) -> Answered:
        for event in self.dify.ask(account, question):
            match event:
                case Answered():
                    return event
                case Started():
                    self._note_start(job, event, again)
                case Growing(text, progress):
                    screen.show(strip_reasoning(text), progress=progress)
        raise DifyError("cut", "The app's stream ended early.", retry=True)

    def _note_start(self, job: Job, started: Started, again: str) -> None:
        self.work.run_started(
            job,
            task=started.task,
            message=started.message,
            conversation=started.conversation,
            again=again,
        )

    def _find_earlier_run(
        self, job: Job, account: Account, question: Question
    ) -> tuple[Answered | None, str]:
        """What became of the run before: its answer, or why the app must be asked again."""
        for pause in (*LOOKUP_PAUSES_S, None):
            try:
                found = self.dify.find(account, question, job.dify_message)
            except UnknownConversation:
                found = None
            if found is None:
                return None, "an earlier lease left no run on record"
            if found.failed:
                raise DifyError("failed", "The app's run failed.", retry=False)
            if found.text:
                self.work.happened(job, "answer.found", dify_message=found.message)
                return Answered(found.text, found.conversation, found.sources), ""
            if pause is not None:
                self.sleep(pause)
        if job.dify_task:
            self.dify.stop(account, job.dify_task, job.user)
        log.warning("run.lost", message=job.id, dify_message=job.dify_message)
        return None, "the answer of an earlier run was lost with its reader"
