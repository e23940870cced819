"""One search with what goes around it, for every door: a repair where one is needed, its time, its log line."""

import time

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram

from tool_server.knowledge.repair import Repair
from tool_server.knowledge.search import Knowledge, Question, Result, search

log = structlog.get_logger()


class Asking:
    """The knowledge of one web process; its doors share it."""

    def __init__(self, knowledge: Knowledge, registry: CollectorRegistry) -> None:
        self.knowledge = knowledge
        self._repair = Repair(knowledge)
        self._metrics = _Metrics(registry)

    def search(self, question: Question, *, door: str, asker_known: bool = False) -> Result:
        """The result for a question that came through `door`. Raises what `search` raises."""
        started = time.monotonic()
        self._repair.if_behind()
        result = search(self.knowledge, question)
        seconds = time.monotonic() - started
        self._metrics.observe(seconds, door=door, found=result.found)
        log.info(
            "search",
            door=door,
            found=result.found,
            passages=len(result.passages),
            pinned=any(passage.pinned for passage in result.passages),
            mode=result.mode,
            asker_known=asker_known,
            seconds=round(seconds, 4),
        )
        return result


class _Metrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = Histogram(
            "shenqiao_knowledge_search_seconds",
            "Time of one search, from the request to its result.",
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0),
            registry=registry,
        )
        self._searches = Counter(
            "shenqiao_knowledge_searches_total",
            "Searches by the door that they came through, and by whether the passages cover the question.",
            ["door", "found"],
            registry=registry,
        )

    def observe(self, seconds: float, *, door: str, found: bool) -> None:
        self._seconds.observe(seconds)
        self._searches.labels(door, "yes" if found else "no").inc()
