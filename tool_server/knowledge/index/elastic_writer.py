"""Bringing the index in Elasticsearch up to the catalogue; for `ingest`, and for `repair` after a kill.

One writer at a time: a file lock on this machine, the state in the index between machines. Passages are sent in bulks,
made visible, and only then the number of the last change is written: after a kill the same changes are sent again,
under the same ids. Where index and catalogue disagree a new index is built beside the old one, and tried before it
takes its place.
"""

import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from elastic_transport import TransportError
from elasticsearch import ApiError, NotFoundError
from elasticsearch.helpers import streaming_bulk

from tool_server.errors import Unavailable
from tool_server.knowledge.catalogue import Catalogue, Change
from tool_server.knowledge.index import Fields, IndexBusy, Scope, elastic_state
from tool_server.knowledge.index.elastic_client import unavailable
from tool_server.knowledge.index.elastic_query import query
from tool_server.knowledge.index.elastic_schema import SCHEMA, passage_form, template
from tool_server.knowledge.index.elastic_state import Kept, State
from tool_server.knowledge.index.lock import alone
from tool_server.knowledge.rights import EVERYTHING
from tool_server.knowledge.terms import terms

if TYPE_CHECKING:
    from tool_server.knowledge.index.elastic import Elastic

log = structlog.get_logger()

CHANGES_PER_BULK = 500
DOCUMENTS_AT_ONCE = 50  # whose passages are in memory
BULK_ITEMS = 500
BULK_RETRIES, FIRST_BACKOFF_S, LONGEST_BACKOFF_S = 5, 0.5, 30.0
TRIED_TOKENS = 20

type Progress = Callable[[int, int], None]


@contextmanager
def writing(
    index: "Elastic", catalogue: Catalogue, *, wait_s: float = 0.0
) -> Iterator["ElasticWriter"]:
    """The only writer, with the index brought up to the catalogue. Raises `IndexBusy` after `wait_s`."""
    with alone(_lock(index), wait_s), closing(ElasticWriter(index, catalogue)) as writer:
        writer.open()
        yield writer


def rebuilding(
    index: "Elastic", catalogue: Catalogue, progress: Progress, *, wait_s: float = 0.0
) -> None:
    """Make the index anew, whosever it was. Raises `IndexBusy` after `wait_s`."""
    with alone(_lock(index), wait_s), closing(ElasticWriter(index, catalogue, progress)) as writer:
        writer.rebuild()


class ElasticWriter:
    """Made by `writing`: the lock is held."""

    def __init__(
        self, index: "Elastic", catalogue: Catalogue, progress: Progress = lambda _done, _all: None
    ) -> None:
        self._index = index
        self._names = index.names
        self._catalogue = catalogue
        self._progress = progress
        self._client = index.connection.writing
        self._session = os.urandom(8).hex()
        self._kept: Kept | None = None

    def open(self) -> None:
        """Go on with the current index, or make one anew where it is missing, of another form, or ahead."""
        with _translated():
            self._open()

    def sync(self) -> None:
        """Take over what changed in the catalogue since; the next search of any process sees it."""
        with _translated():
            self._sync()

    def rebuild(self) -> None:
        """A whole new index; searches have the old one until it is complete and was tried."""
        with _translated():
            self._rebuild()

    def close(self) -> None:
        """Somebody else may write; where this cannot be said now, the lease ends by itself."""
        kept, self._kept = self._kept, None
        if kept is not None and kept.state.session == self._session:
            with suppress(ApiError, TransportError, IndexBusy):
                elastic_state.exchange(self._index.connection.client(), kept, session="")
        self._index.forget()

    def _open(self) -> None:
        client = self._client()
        current = self._current()
        kept = None if current is None else elastic_state.read(client, current)
        if kept is not None and kept.state.owner != self._index.owner():
            raise Unavailable(elastic_state.of_another(self._names.prefix))
        if kept is None or not self._fits(kept.state):
            self._rebuild()
            return
        self._kept = elastic_state.claim(
            client, kept, session=self._session, machine=_machine(), now=time.time()
        )
        self._remove_others()
        self._sync()
        if self._count(kept.index) != self._catalogue.passage_count():
            log.warning("index.count_differs", index=kept.index)
            self._rebuild()

    def _fits(self, state: State) -> bool:
        return state.schema == SCHEMA and state.applied <= self._catalogue.sequence()

    def _sync(self) -> None:
        kept = self._writes()
        applied = kept.state.applied
        while changes := self._catalogue.changes(applied, CHANGES_PER_BULK):
            self._write(self._names.write, changes, require_alias=True)
            applied = changes[-1].sequence
            self._publish(applied)
        self._catalogue.prune(applied)

    def _publish(self, applied: int) -> None:
        """Let searches see what was written, then say that it is there."""
        kept = self._writes()
        client = self._client()
        client.indices.refresh(index=kept.index)
        self._kept = elastic_state.exchange(client, kept, applied=applied, at=time.time())
        self._index.forget()

    def _rebuild(self) -> None:
        client = self._client()
        name, old = self._names.fresh(time.time()), self._aliased()
        client.indices.put_index_template(
            name=self._names.template, **template(self._names, self._index.settings)
        )
        try:
            client.indices.create(index=name)
            self._kept = self._fill(name)
            self._swap(name, old)
        except BaseException:
            with suppress(ApiError, TransportError):
                if self._current() != name:
                    client.indices.delete(index=name, ignore_unavailable=True)
            raise
        self._index.forget()
        log.info("index.rebuilt", index=name, sequence=self._kept.state.applied)
        if any(old.values()):  # whoever searches the old one has ended by then
            time.sleep(self._index.settings.knowledge_elasticsearch_timeout_s)
        self._remove_others()

    def _fill(self, name: str) -> Kept:
        """All passages of the catalogue, tried, and what the index says of itself."""
        client, applied = self._client(), 0
        while changes := self._catalogue.changes(applied, CHANGES_PER_BULK):
            self._write(name, changes, require_alias=False)
            applied = changes[-1].sequence
            self._progress(applied, max(applied, self._catalogue.sequence()))
        client.indices.refresh(index=name)
        self._try(name, applied)
        owner = self._index.owner()
        state = State(owner, applied, session=self._session, machine=_machine(), at=time.time())
        return elastic_state.create(client, name, state)

    def _write(self, index: str, changes: Sequence[Change], *, require_alias: bool) -> None:
        """Exchange the passages of these documents. Raises `Unavailable` with the first reason."""
        done = streaming_bulk(
            self._client(),
            self._actions([change.document_id for change in changes]),
            index=index,
            require_alias=require_alias,
            chunk_size=BULK_ITEMS,
            max_chunk_bytes=self._index.settings.knowledge_elasticsearch_bulk_bytes,
            max_retries=BULK_RETRIES,
            initial_backoff=FIRST_BACKOFF_S,
            max_backoff=LONGEST_BACKOFF_S,
            raise_on_error=False,
        )
        for ok, item in done:
            if not ok:
                _check_item(item)

    def _actions(self, documents: Sequence[str]) -> Iterator[dict[str, Any]]:
        """New passages first, then the end of the old ones; nothing is seen before it is made visible, whole."""
        keys = self._index.settings.knowledge_elasticsearch_metadata_keys
        for at in range(0, len(documents), DOCUMENTS_AT_ONCE):
            ids = documents[at : at + DOCUMENTS_AT_ONCE]
            metadata = self._catalogue.metadata(ids)
            for document, values in metadata.items():
                if len(values) > keys:
                    log.warning("index.metadata_cut", document=document, keys=len(values))
            for passage in self._catalogue.passages_of(ids):
                form = passage_form(passage, metadata.get(passage.document_id, {}), keys)
                yield {"_op_type": "index", "_id": passage.id, "_source": form}
            for old in self._catalogue.retired_of(ids):
                yield {"_op_type": "delete", "_id": old}

    def _try(self, name: str, applied: int) -> None:
        """A new index holds all passages and finds one of them. Raises `Unavailable`; the old one stays then."""
        held, wanted = self._count(name), self._catalogue.passage_count()
        if held != wanted and applied == self._catalogue.sequence():
            raise Unavailable(f"The new index holds {held} of {wanted} passages.")
        first = [change.document_id for change in self._catalogue.changes(0, DOCUMENTS_AT_ONCE)]
        for passage in self._catalogue.passages_of(first):
            if not (tried := terms(passage.text, TRIED_TOKENS)):
                continue
            asked = query(tried, Scope({passage.base: Fields()}, frozenset({EVERYTHING})))
            found = self._client().search(index=name, query=asked, size=1, source=False)
            if not found["hits"]["hits"]:
                raise Unavailable("The new index does not find what it holds.")
            return

    def _swap(self, name: str, old: dict[str, list[str]]) -> None:
        """Both aliases in one step. Raises `IndexBusy` where another machine was first."""
        actions: list[dict[str, Any]] = [
            {"remove": {"index": index, "alias": alias, "must_exist": True}}
            for alias, indexes in old.items()
            for index in indexes
        ]
        actions.append({"add": {"index": name, "alias": self._names.read}})
        actions.append({"add": {"index": name, "alias": self._names.write, "is_write_index": True}})
        try:
            self._client().indices.update_aliases(actions=actions)
        except NotFoundError:
            if self._current() != name:  # else the first try came through, its answer did not
                raise IndexBusy("Another machine took the index over.") from None

    def _current(self) -> str | None:
        """The index that both aliases name, and nothing else."""
        aliased = self._aliased()
        read, write = aliased[self._names.read], aliased[self._names.write]
        return read[0] if len(read) == 1 and read == write else None

    def _aliased(self) -> dict[str, list[str]]:
        """The indexes behind each of our two aliases."""
        found: dict[str, list[str]] = {self._names.read: [], self._names.write: []}
        for alias, indexes in found.items():
            with suppress(NotFoundError):
                indexes += sorted(self._client().indices.get_alias(name=alias))
        return found

    def _remove_others(self) -> None:
        """What an earlier schema or a killed rebuild left."""
        current = self._writes().index
        client = self._client()
        for index in client.indices.get_alias(index=self._names.pattern):
            if index != current and self._names.is_ours(index):
                client.indices.delete(index=index, ignore_unavailable=True)

    def _count(self, index: str) -> int:
        passages = {"exists": {"field": "document"}}
        return int(self._client().count(index=index, query=passages)["count"])

    def _writes(self) -> Kept:
        assert self._kept is not None, "opened by `writing`"
        return self._kept


@contextmanager
def _translated() -> Iterator[None]:
    """Elasticsearch's errors as ours."""
    try:
        yield
    except (ApiError, TransportError) as error:
        status = error.status_code if isinstance(error, ApiError) else None
        log.error("elasticsearch.failed", kind=type(error).__name__, status=status, call="write")
        raise unavailable(error) from error


def _check_item(item: dict[str, Any]) -> None:
    """A delete that found nothing is done; all else that failed is an error. Raises `Unavailable`."""
    ((operation, answer),) = item.items()
    error = answer.get("error")
    if operation == "delete" and answer.get("status") == 404 and not error:
        return
    kind = error.get("type", "") if isinstance(error, dict) else ""
    log.error("elasticsearch.item_failed", status=answer.get("status"), kind=kind)
    if kind == "index_not_found_exception":
        raise Unavailable("The index in Elasticsearch, or the alias that writes to it, is missing.")
    raise Unavailable(
        f"Elasticsearch did not take a passage ({answer.get('status')} {kind}); the log says which."
    )


def _lock(index: "Elastic") -> Path:
    folder = index.settings.data_dir / "index"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / "writer.lock"


def _machine() -> str:
    return socket.gethostname()
