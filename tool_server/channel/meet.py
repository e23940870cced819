"""What a person did other than writing: came in, pressed a button, gave a thumb; called by `compose`."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import sqlalchemy as sa
import structlog

from tool_server.channel import card, feedback
from tool_server.channel.account import Account, WeComApp
from tool_server.channel.apps import Apps
from tool_server.channel.dify import DifyError
from tool_server.channel.feedback import Feedbacks
from tool_server.channel.job import Job
from tool_server.channel.language import Speaker
from tool_server.channel.schema import deliveries, messages
from tool_server.channel.surface import Api, Choices
from tool_server.channel.surfaces import wecom_bot_socket
from tool_server.channel.wecom_errors import SendError
from tool_server.database import Database

log = structlog.get_logger()


@dataclass(frozen=True)
class Events:
    """Meets the events that `kinds.ANSWERED_EVENTS` names, but for a menu's click, which is a question."""

    database: Database
    apps: Apps
    feedbacks: Feedbacks
    api: Api
    speaker: Speaker
    welcome_every_s: float
    apart: Mapping[str, Api] = MappingProxyType(
        {}
    )  # what surfaces with a transport of their own send with
    clock: Callable[[], float] = time.time

    def meet(self, job: Job, account: Account) -> Choices | None:
        """What the person is shown, if anything."""
        if job.event == "enter":
            return None if self._welcomed(job) else self._welcome(job, account)
        thumb = feedback.read(job.data)
        if thumb is None or not self.feedbacks.keep(job, thumb):
            log.info("feedback.unknown", message=job.id, event_kind=job.event)
        elif job.event == "card" and isinstance(account, WeComApp):
            self._thank(job, account)
        return None

    def pressed(self, job: Job, account: Account) -> None:
        """Say on a bot's card which question was asked, in the platform's five seconds; it is answered all the same."""
        api = self.apart.get(account.surface)
        if api is None or job.event != "click" or not (welcome := self._pressed_card(job)):
            return
        if not (frame := wecom_bot_socket.chosen(job.address, welcome, job.question)):
            return
        try:
            api.call(account, wecom_bot_socket.UPDATE, frame)
        except SendError as error:
            log.warning("card.unchanged", message=job.id, code=error.code)

    def _thank(self, job: Job, app: WeComApp) -> None:
        """Say so on the card; without it the thumb is kept all the same."""
        code = str(json.loads(job.data).get("ResponseCode", ""))
        try:
            card.taken(self.api, app, job.user, code, self.speaker.language(job, app))
        except SendError as error:
            log.warning("card.unchanged", message=job.id, code=error.code)

    def _pressed_card(self, job: Job) -> str:
        """The request that brought the card of questions; empty where there is none (any more)."""
        sent = (
            sa.select(deliveries.c.body)
            .join(messages, messages.c.id == deliveries.c.message_id)
            .where(
                messages.c.stream_id == (wecom_bot_socket.card_of(job.address) or None),
                messages.c.conversation == job.conversation,
                messages.c.event == "enter",
            )
        )
        return self.database.read(lambda db: db.scalar(sent.limit(1))) or ""

    def _welcomed(self, job: Job) -> bool:
        """Whether the person had a welcome not long ago; the platform tells of each entry."""
        earlier = sa.select(messages.c.id).where(
            messages.c.conversation == job.conversation,
            messages.c.id < job.id,
            messages.c.event == "enter",
            messages.c.answer != "",
            messages.c.received_at > self.clock() - self.welcome_every_s,
        )
        return self.database.read(lambda db: db.scalar(earlier.limit(1))) is not None

    def _welcome(self, job: Job, account: Account) -> Choices:
        """The app's own opening with its starter questions; a sentence of ours where it has none or is away."""
        own = self.speaker.say("welcome", job, account)
        try:
            profile = self.apps.profile(account)
        except DifyError as error:
            log.warning("welcome.plain", code=error.code)
            return Choices(own)
        heading = self.speaker.say("starters", job, account)
        return Choices(profile.opening or own, heading, profile.questions)
