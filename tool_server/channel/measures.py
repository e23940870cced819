"""What a worker counts; sent with its heartbeat."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class Metrics:
    """What a worker counts; sent with its heartbeat."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.answers = Counter(
            "shenqiao_channel_answers_total",
            "Answers by the way they take: passive, stream or push.",
            ["mode"],
            registry=self.registry,
        )
        self.failures = Counter(
            "shenqiao_channel_failures_total",
            "Messages that got a sentence of ours instead of an answer, by Dify's error code.",
            ["code"],
            registry=self.registry,
        )
        self.poisonous = Counter(
            "shenqiao_channel_poisonous_total",
            "Messages given up because each worker that took them died.",
            registry=self.registry,
        )
        self.sends = Counter(
            "shenqiao_channel_sends_total",
            "Calls of message/send by the platform's error code; 0 is success.",
            ["code"],
            registry=self.registry,
        )
        self.media = Counter(
            "shenqiao_channel_media_total",
            "Pictures, voices, videos and files that people sent, by kind and result: taken, refused.",
            ["kind", "result"],
            registry=self.registry,
        )
        self.feedback = Counter(
            "shenqiao_channel_feedback_total",
            "Thumbs of people by result: sent to Dify, or failed.",
            ["result"],
            registry=self.registry,
        )
        self._token_fetches = Counter(
            "shenqiao_channel_token_fetches_total",
            "Access tokens fetched, by the platform's error code; 0 is success.",
            ["code"],
            registry=self.registry,
        )
        self._token_age = Gauge(
            "shenqiao_channel_token_age_seconds",
            "Age of an account's access token; it is renewed before its two hours are over.",
            ["account"],
            registry=self.registry,
        )
        self.queue = Gauge(
            "shenqiao_channel_queue_messages",
            "Messages that are not answered yet.",
            registry=self.registry,
        )
        self.streams = Gauge(
            "shenqiao_channel_streams_growing",
            "Answers that grow in a stream now.",
            registry=self.registry,
        )
        self.first_text = Histogram(
            "shenqiao_channel_first_text_seconds",
            "From a message's arrival until its stream shows the first text.",
            buckets=(0.25, 0.5, 1.0, 1.5, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0),
            registry=self.registry,
        )

    def token_fetched(self, code: int) -> None:
        self._token_fetches.labels(str(code)).inc()

    def show_ages(self, ages: Mapping[str, float]) -> None:
        """The tokens that there are now, by account."""
        self._token_age.clear()
        for account, age_s in ages.items():
            self._token_age.labels(account).set(age_s)
