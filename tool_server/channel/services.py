"""What the channel's HTTP side works with, opened once per web process by `create_app`."""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram

from tool_server.access import Asker
from tool_server.channel import tickets
from tool_server.channel.accounts import Accounts
from tool_server.channel.ledger import Ledger
from tool_server.channel.room import WaitingRoom
from tool_server.channel.vault import Vault
from tool_server.database import Database
from tool_server.settings import Settings


@dataclass(frozen=True)
class Services:
    """The ledger, the accounts, the waiting room and the counters of one web process."""

    settings: Settings
    database: Database
    accounts: Accounts
    ledger: Ledger
    room: WaitingRoom
    metrics: "Metrics"

    @classmethod
    def open(cls, settings: Settings, registry: CollectorRegistry) -> "Services":
        database = Database.open(settings)
        vault = Vault.open(settings.data_dir)
        return cls(
            settings=settings,
            database=database,
            accounts=Accounts(database, vault, settings.channel_dify_hosts),
            ledger=Ledger(
                database,
                queue_limit=settings.channel_queue_limit,
                ticket_ttl_s=settings.channel_ticket_ttl_s,
            ),
            room=WaitingRoom(settings.run_dir, settings.channel_waiting_limit),
            metrics=Metrics(registry),
        )

    def resolve_ticket(self, ticket: str, app: str, conversation: str) -> Asker | None:
        """Who asks, for knowledge; see `tickets.resolve`."""
        return tickets.resolve(self.database, ticket, app, conversation)

    def close(self) -> None:
        self.room.close()
        self.database.close()


class Metrics:
    """What the web process counts of callbacks."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._callbacks = Counter(
            "shenqiao_channel_callbacks_total",
            "Callbacks by what became of them: new, repeated, refused, busy.",
            ["result"],
            registry=registry,
        )
        self._claim_seconds = Histogram(
            "shenqiao_channel_claim_seconds",
            "From a callback's arrival until its message is on disk.",
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
            registry=registry,
        )

    def claimed(self, seconds: float, *, new: bool) -> None:
        self._callbacks.labels("new" if new else "repeated").inc()
        self._claim_seconds.observe(seconds)

    def refused(self, result: str) -> None:
        self._callbacks.labels(result).inc()
