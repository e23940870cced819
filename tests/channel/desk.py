"""A worker's desk in the test's own process: messages are claimed, leased, composed and settled as a worker does it."""

import itertools
from dataclasses import dataclass, field

from playground.serving import Server
from playground.wechat.__main__ import platform_app
from playground.wechat.platform import Platform
from tests.fakes.dify import FakeDify
from tool_server.channel.account import Account
from tool_server.channel.accounts import Accounts
from tool_server.channel.asking import Asking
from tool_server.channel.compose import Composed
from tool_server.channel.job import Job
from tool_server.channel.ledger import Ledger
from tool_server.channel.measures import Metrics
from tool_server.channel.people import Ages, People
from tool_server.channel.policy import Policy
from tool_server.channel.surface import Incoming, Media, Text
from tool_server.channel.surfaces import wecom_app
from tool_server.channel.vault import Vault
from tool_server.channel.wecom_api import WeComApi
from tool_server.channel.work import Work
from tool_server.database import Database
from tool_server.settings import Settings

NUMBERS = itertools.count(1)


@dataclass
class Screen:
    """What a person would see of a growing answer."""

    seen: list[tuple[str, str]] = field(default_factory=list)

    @property
    def shown(self) -> str:
        return self.seen[-1][0] if self.seen else ""

    def show(self, text: str, *, progress: str) -> None:
        self.seen.append((text, progress))


class Desk:
    """One worker's parts around a scripted Dify and a platform; `clock` moves what is remembered."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        dify: FakeDify,
        platform: Platform,
        account: Account,
    ) -> None:
        self.dify, self.platform, self.database = dify, platform, database
        self._server = Server(platform_app(platform))
        self.url = self._server.url
        self.settings = settings.model_copy(update={"channel_wecom_url": self.url})
        self.account = account
        self.accounts = Accounts(database, Vault.open(self.settings.data_dir))
        self.accounts.save("acc", self.account)
        self.api = WeComApi(self.url, timeout_s=5)
        self.ledger = Ledger.open(database, self.settings)
        self.people = People(database, self.accounts, Ages.of(self.settings), self.api)
        self.metrics = Metrics()
        self.screen = Screen()
        self.work, self.asking = self.worker("one")

    def worker(self, name: str) -> tuple[Work, Asking]:
        """Another worker's parts over the same ledger."""
        work = Work(self.database, name, lease_s=30, ticket_ttl_s=600)
        asking = Asking.open(
            self.settings,
            database=self.database,
            accounts=self.accounts,
            work=work,
            platform=self.api,
            people=self.people,
            policy=Policy(self.database, self.people),
            metrics=self.metrics,
        )
        return work, asking

    def close(self) -> None:
        self.asking.close()
        self.api.close()
        self._server.close()

    def claim(
        self,
        text: str = "",
        *,
        user: str = "zhang",
        kind: str = "text",
        event: str = "",
        data: str = "",
        chat: str = "",
        quote: str = "",
        media: tuple[Media, ...] = (),
    ) -> int:
        """A message arrives; its number in the ledger."""
        name = f"m{next(NUMBERS)}"
        incoming = Incoming(name, name, user, kind, text, 1, chat, event, data, media, quote)
        return self.ledger.claim("acc", incoming, wait_until=0.0).message_id

    def lease(self, work: Work | None = None) -> Job:
        job = (work or self.work).lease()
        assert job is not None
        return job

    def answer(
        self, job: Job, work: Work | None = None, asking: Asking | None = None
    ) -> Composed | None:
        """What a worker does with a leased message, up to the pushes."""
        work, asking = work or self.work, asking or self.asking
        composed = asking.composer.compose(job, self.account, wecom_app.LIMITS, self.screen)
        if composed is None:
            return None
        if not composed.contents:
            work.nothing(job, "nothing is said to this")
            return composed
        work.settle(
            job, "\n\n".join(texts(composed)), bodies=["b"], reply=None, dify=composed.conversation
        )
        for piece in work.pieces(job):
            work.sent(job, piece, "", last=True)
        return composed

    def say(self, text: str = "", **more: object) -> list[str]:
        """A message and what its person is shown."""
        self.claim(text, **more)  # type: ignore[arg-type]  # the keywords of `claim`
        composed = self.answer(self.lease())
        assert composed is not None
        return texts(composed)


def texts(composed: Composed) -> list[str]:
    return [content.text for content in composed.contents if isinstance(content, Text)]
