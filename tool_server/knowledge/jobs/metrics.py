"""What a process that runs jobs counts; the indexer sends it with its heartbeat."""

from collections.abc import Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from tool_server.knowledge.document import Piece
from tool_server.knowledge.jobs.batch import Batch
from tool_server.knowledge.jobs.job import STATES


class Metrics:
    """Counts of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.jobs = Gauge(
            "shenqiao_knowledge_jobs",
            "Jobs of ingestion that are remembered, by state.",
            ["state"],
            registry=self.registry,
        )
        self.files = Counter(
            "shenqiao_knowledge_files_total",
            "Files of jobs by what became of them.",
            ["outcome"],
            registry=self.registry,
        )
        self.passages = Counter(
            "shenqiao_knowledge_passages_total",
            "Passages that were read, new or not.",
            registry=self.registry,
        )
        self.seconds = Histogram(
            "shenqiao_knowledge_batch_seconds",
            "Time from one commit of a job to the next.",
            buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
            registry=self.registry,
        )

    def committed(
        self, batch: Batch, pieces: Mapping[str, Sequence[Piece]], seconds: float
    ) -> None:
        self.passages.inc(sum(map(len, pieces.values())))
        self.seconds.observe(seconds)
        for part in batch.parts:
            if part.outcome:
                self.files.labels(part.outcome).inc()

    def count(self, jobs: Mapping[str, int]) -> None:
        for state in STATES:
            self.jobs.labels(state).set(jobs.get(state, 0))
