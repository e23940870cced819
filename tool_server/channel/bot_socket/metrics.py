"""What a worker counts of its long connections; sent with its heartbeat."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class SocketMetrics:
    """Counters and the gauge in the worker's registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.up = Gauge(
            "shenqiao_channel_connections_up",
            "Long connections of this worker that are subscribed.",
            registry=registry,
        )
        self.changes = Counter(
            "shenqiao_channel_connection_changes_total",
            "What long connections came to: connecting, up, away, kicked, refused.",
            ["state"],
            registry=registry,
        )
        self.leaderships = Counter(
            "shenqiao_channel_leaderships_total",
            "Times that this worker took an account's leadership.",
            registry=registry,
        )
        self.acks_lost = Counter(
            "shenqiao_channel_acks_lost_total",
            "Frames that the platform did not acknowledge in time.",
            registry=registry,
        )
        self.frames = Counter(
            "shenqiao_channel_frames_total",
            "Messages over long connections: new, repeated, refused, waited (ledger full), overflow.",
            ["result"],
            registry=registry,
        )
