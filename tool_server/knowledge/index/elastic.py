"""The index in Elasticsearch 8 or 9, searched by `search`; `elastic_writer` keeps it up to the catalogue."""

import math
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from elasticsearch import Elasticsearch, NotFoundError
from prometheus_client import CollectorRegistry

from tool_server.errors import Unavailable
from tool_server.files import INSTALLATION, write_once
from tool_server.knowledge.catalogue import Catalogue
from tool_server.knowledge.index import Hit, Scope, elastic_state, highest_score
from tool_server.knowledge.index.elastic_client import Connection
from tool_server.knowledge.index.elastic_query import query
from tool_server.knowledge.index.elastic_schema import SCHEMA, Names
from tool_server.knowledge.index.elastic_state import Kept
from tool_server.knowledge.index.elastic_writer import ElasticWriter, rebuilding, writing
from tool_server.knowledge.terms import Term
from tool_server.settings import Settings

STATE_S = 1.0  # how long a search trusts what the index said of itself
FREQUENCIES = 50_000  # tokens whose document frequency is remembered until the next change


class Elastic:
    """Opened once per process; connects at the first call, and again after a fork."""

    def __init__(
        self,
        settings: Settings,
        registry: CollectorRegistry | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.names = Names(settings.knowledge_elasticsearch_prefix)
        self.connection = Connection(settings, registry=registry)
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: tuple[float, Kept | None] | None = None
        self._frequencies = _Frequencies()
        self._owner = ""

    def applied(self) -> int:
        """Number of the last change that the index holds; -1 where there is none that can be searched."""
        kept = self._state()
        if kept is None or kept.state.schema != SCHEMA:
            return -1
        if kept.state.owner != self.owner():
            raise Unavailable(elastic_state.of_another(self.names.prefix))
        return kept.state.applied

    def passage_count(self) -> int:
        if self._state() is None:
            return 0
        passages = {"exists": {"field": "document"}}
        answer = self._ask(
            "count", lambda client: client.count(index=self.names.read, query=passages)
        )
        return int(answer["count"])

    def search(self, terms: Sequence[Term], scope: Scope, *, limit: int) -> list[Hit]:
        """The best passages for a question's terms, best first; nothing where there is no index yet."""
        if not terms or not scope.bases or self._state() is None:
            return []
        asked = query(terms, scope)
        answer = self._ask("search", lambda client: self._search(client, asked, limit))
        if answer["timed_out"]:
            raise Unavailable("Elasticsearch did not answer in time.", retry_after=5)
        highest = highest_score(terms, self.weights([term.token for term in terms]), scope)
        return [
            Hit(hit["_id"], min(1.0, hit["_score"] / highest)) for hit in answer["hits"]["hits"]
        ]

    def weights(self, tokens: Sequence[str]) -> dict[str, float]:
        """How much each token tells (BM25's idf); one that no passage holds tells most."""
        kept = self._state()
        if kept is None or not tokens:
            return dict.fromkeys(tokens, 1.0)
        known = self._frequencies.known(kept, [*tokens, None])
        unknown = [token for token in tokens if token not in known]
        if unknown or None not in known:
            counted = self._count_frequencies(unknown)
            self._frequencies.add(kept, counted)
            known |= counted
        total = known[None]
        return {token: _idf(known[token], total) for token in tokens}

    def writing(
        self, catalogue: Catalogue, *, wait_s: float = 0.0
    ) -> AbstractContextManager[ElasticWriter]:
        return writing(self, catalogue, wait_s=wait_s)

    def rebuild(
        self, catalogue: Catalogue, progress: Callable[[int, int], None], *, wait_s: float = 0.0
    ) -> None:
        rebuilding(self, catalogue, progress, wait_s=wait_s)

    def close(self) -> None:
        self.connection.close()

    def forget(self) -> None:
        """This process wrote: the next search looks again."""
        with self._lock:
            self._kept = None

    def owner(self) -> str:
        """The name of this installation, which its index carries; made when it is first asked for."""
        if not self._owner:
            self._owner = installation(self.settings.data_dir)
        return self._owner

    def _state(self) -> Kept | None:
        """What the index says of itself, asked at most once a second by all threads together."""
        with self._lock:
            now, kept = self._clock(), self._kept
            if kept is not None:
                if now - kept[0] < STATE_S:
                    return kept[1]
                self._kept = now, kept[1]  # one thread asks, the others go on with this
        try:
            found = self.connection.ask(
                "state", lambda client: elastic_state.read(client, self.names.read)
            )
        except Unavailable:
            self.forget()
            raise
        with self._lock:
            self._kept = self._clock(), found
        return found

    def _search(self, client: Elasticsearch, asked: dict[str, Any], limit: int) -> Any:
        return client.search(
            index=self.names.read,
            query=asked,
            size=limit,
            source=False,
            track_total_hits=False,
            allow_partial_search_results=False,
            timeout=f"{int(self.settings.knowledge_elasticsearch_timeout_s * 1000)}ms",
        )

    def _count_frequencies(self, tokens: Sequence[str]) -> dict[str | None, int]:
        """In how many passages each token stands, and under None how many passages there are."""
        made_up = {"content_tok": " ".join(tokens) or "-"}
        answer = self._ask(
            "frequencies",
            lambda client: client.termvectors(
                index=self.names.read,
                doc=made_up,
                fields=["content_tok"],
                term_statistics=True,
                offsets=False,
                positions=False,
                payloads=False,
            ),
        )
        vectors = answer["term_vectors"].get("content_tok", {})
        terms = vectors.get("terms", {})
        total = max(0, vectors.get("field_statistics", {}).get("doc_count", 0))
        counted: dict[str | None, int] = {
            token: terms.get(token, {}).get("doc_freq", 0) for token in tokens
        }
        return {**counted, None: total}

    def _ask(self, name: str, call: Callable[[Elasticsearch], Any]) -> Any:
        """Raises `Unavailable`, also where the index went away since it was asked for its state."""
        try:
            return self.connection.ask(name, call)
        except NotFoundError:
            self.forget()
            raise Unavailable("The index is missing in Elasticsearch.", retry_after=5) from None


class _Frequencies:
    """Document frequencies by token, of the index as it was after one change; under None the number of passages."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of: tuple[str, int] | None = None
        self._known: dict[str | None, int] = {}

    def known(self, kept: Kept, tokens: Sequence[str | None]) -> dict[str | None, int]:
        with self._lock:
            if self._of != (kept.index, kept.state.applied):
                return {}
            return {token: self._known[token] for token in tokens if token in self._known}

    def add(self, kept: Kept, counted: dict[str | None, int]) -> None:
        now = (kept.index, kept.state.applied)
        with self._lock:
            if self._of != now or len(self._known) + len(counted) > FREQUENCIES:
                self._of, self._known = now, {}
            self._known.update(counted)


def installation(data_dir: Path) -> str:
    """A random name that stays with the data folder, and so with the catalogue in it."""
    file = data_dir / INSTALLATION
    if not file.exists():
        write_once(file, str(uuid.uuid4()).encode())
    return file.read_text().strip()


def _idf(frequency: int, total: int) -> float:
    return math.log(1 + (total - frequency + 0.5) / (frequency + 0.5))
