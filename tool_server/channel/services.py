"""What the channel's HTTP side works with, opened once per web process by `create_app`."""

from collections.abc import Collection
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram

from tool_server.access import Asker
from tool_server.channel import tickets
from tool_server.channel.accounts import Accounts
from tool_server.channel.ledger import Ledger
from tool_server.channel.oauth import SignIn
from tool_server.channel.page import Pages
from tool_server.channel.people import Ages, People
from tool_server.channel.room import WaitingRoom
from tool_server.channel.streams import Streams
from tool_server.channel.token_shelf import LedgerShelf
from tool_server.channel.vault import Vault
from tool_server.channel.wecom_api import WeComApi
from tool_server.database import Database
from tool_server.settings import Settings


@dataclass(frozen=True)
class Services:
    """The ledger, the accounts, the waiting room and the counters of one web process."""

    settings: Settings
    database: Database
    accounts: Accounts
    people: People
    ledger: Ledger
    pages: Pages
    sign_in: SignIn
    api: WeComApi
    streams: Streams
    room: WaitingRoom
    metrics: "Metrics"

    @classmethod
    def open(cls, settings: Settings, registry: CollectorRegistry) -> "Services":
        database = Database.open(settings)
        vault = Vault.open(settings.data_dir)
        accounts = Accounts(database, vault, settings.channel_dify_hosts)
        api = WeComApi(
            settings.channel_wecom_url,
            timeout_s=settings.channel_wecom_timeout_s,
            shelf=LedgerShelf(database, vault),
        )
        return cls(
            settings=settings,
            database=database,
            accounts=accounts,
            people=People(database, accounts, Ages.of(settings)),
            ledger=Ledger.open(database, settings),
            pages=Pages.open(settings, database),
            sign_in=SignIn(
                database,
                vault,
                api,
                authorize_url=settings.channel_wecom_authorize_url,
                session_s=settings.channel_login_ttl_s,
            ),
            api=api,
            streams=Streams(database),
            room=WaitingRoom(settings.run_dir, settings.channel_waiting_limit, database),
            metrics=Metrics(registry),
        )

    def resolve_ticket(self, ticket: str, app: str, conversation: str) -> Asker | None:
        """Who asks, for knowledge; see `tickets.resolve`."""
        return tickets.resolve(self.database, ticket, app, conversation)

    def note_given(self, ticket: str, documents: Collection[str], *, closed: bool) -> None:
        """Of which documents knowledge gives out passages under this ticket; see `tickets.note_given`."""
        tickets.note_given(self.database, ticket, documents, closed=closed)

    def close(self) -> None:
        self.room.close()
        self.api.close()
        self.database.close()


class Metrics:
    """What the web process counts of callbacks."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._callbacks = Counter(
            "shenqiao_channel_callbacks_total",
            "Callbacks by what became of them: new, repeated, wanted, refused, busy.",
            ["result"],
            registry=registry,
        )
        self._claim_seconds = Histogram(
            "shenqiao_channel_claim_seconds",
            "From a callback's arrival until its message is on disk.",
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
            registry=registry,
        )
        self._streamed = Counter(
            "shenqiao_channel_stream_replies_total",
            "Replies that show a stream, by how it is: growing, finished, closed.",
            ["result"],
            registry=registry,
        )
        self._replies = Counter(
            "shenqiao_channel_replies_total",
            "Cards and files that tools sent beside an answer: by kind, new or again.",
            ["kind", "result"],
            registry=registry,
        )

    def claimed(self, seconds: float, *, new: bool) -> None:
        self._callbacks.labels("new" if new else "repeated").inc()
        self._claim_seconds.observe(seconds)

    def streamed(self, result: str) -> None:
        self._streamed.labels(result).inc()

    def replied(self, kind: str, *, again: bool) -> None:
        self._replies.labels(kind, "again" if again else "new").inc()

    def wanted(self) -> None:
        self._callbacks.labels("wanted").inc()

    def refused(self, result: str) -> None:
        self._callbacks.labels(result).inc()
