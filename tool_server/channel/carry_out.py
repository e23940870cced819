"""Doing what a command of the chat says; called by `compose`, the words stand in `chat_commands`."""

from dataclasses import dataclass

from tool_server.channel.account import Account
from tool_server.channel.apps import Apps
from tool_server.channel.attachments import Attachments
from tool_server.channel.chat_commands import Command
from tool_server.channel.dify import Dify, DifyError
from tool_server.channel.job import Job
from tool_server.channel.language import Speaker
from tool_server.channel.memory import Memory
from tool_server.channel.surface import Choices
from tool_server.channel.work import Work


@dataclass(frozen=True)
class Commands:
    """Does what a command says; each gives the text that its person sees."""

    work: Work
    memory: Memory
    attachments: Attachments
    dify: Dify
    apps: Apps
    speaker: Speaker

    def run(self, command: Command, job: Job, account: Account) -> str:
        """Carry it out; doing so twice, after a crash, does no harm."""
        match command:
            case "new":
                return self._new(job, account)
            case "stop":
                return self._stop(job, account)
            case "help":
                return self._help(job, account)

    def _new(self, job: Job, account: Account) -> str:
        self.memory.forget(job.conversation)
        self.attachments.forget(job.conversation)
        return self.speaker.say("new_conversation", job, account)

    def _stop(self, job: Job, account: Account) -> str:
        """The mark ends what waits and what runs, on whatever worker; Dify is told at once to end the model's run."""
        stopped = self.work.stop_conversation(job)
        for message in stopped:
            if message.task:
                self.dify.stop(account, message.task, job.user)
        if not stopped:
            return self.speaker.say("nothing_to_stop", job, account)
        return self.speaker.say("stopping", job, account, number=len(stopped))

    def _help(self, job: Job, account: Account) -> str:
        """The commands; the app's questions too, where Dify can be asked for them."""
        said = self.speaker.say("help", job, account)
        try:
            questions = self.apps.profile(account).questions
        except DifyError:
            return said
        return Choices(said, self.speaker.say("starters", job, account), questions).plain
