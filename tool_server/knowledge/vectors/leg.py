"""What a search and the indexer have of the vectors: `search`, `catch_up`, and the reason where the leg is off."""

import json
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import structlog
from numpy.typing import NDArray

from tool_server.knowledge.catalogue import Catalogue, Change
from tool_server.knowledge.document import StoredPassage
from tool_server.knowledge.fusion import Ranking, fuse
from tool_server.knowledge.index import Fields, Hit, Index, Scope
from tool_server.knowledge.index.lock import alone
from tool_server.knowledge.rights import EVERYTHING, sees
from tool_server.knowledge.terms import terms
from tool_server.knowledge.vectors.embedding import Embedder, EmbeddingError, Matrix
from tool_server.knowledge.vectors.folder import GONE, State, VectorFolder, Vectors, among
from tool_server.knowledge.vectors.selftest import Verdict, judge, sample
from tool_server.settings import Settings

log = structlog.get_logger()

DOCUMENTS_PER_COMMIT = 50
# After a failure of the model, searches go without it for so long: none waits for its timeout again.
PAUSE_S = 15.0
BEING_MADE = "The vectors are being made."
# With more changed documents than this the vectors are too far behind to be of use.
MOST_OUTDATED = 10_000
NOT_CONFIGURED = "No embedding model is configured."
SCAN_ROWS = 65_536  # rows of one product: its scores stay in the processor's cache

type Scores = NDArray[np.float32]


class Away(Exception):
    """The leg cannot be searched now; the sentence says why."""


class VectorLeg:
    """One per process. `search` may be called by many threads; one `catch_up` runs at a time, in any process."""

    def __init__(self, settings: Settings, catalogue: Catalogue) -> None:
        self._settings = settings
        self._catalogue = catalogue
        self._embedder = Embedder(settings)
        self._folder = VectorFolder(settings.data_dir / "index" / f"vectors-{self._embedder.name}")
        self._lock = threading.Lock()
        self._held: Vectors | None = None
        self._paused_until = 0.0
        self._paused_for = ""

    def reason(self) -> str:
        """Why a search is lexical now, a sentence; empty where it has both legs."""
        if time.monotonic() < self._paused_until:
            return self._paused_for
        verdict = self.verdict()
        if verdict is None:
            return BEING_MADE
        return verdict.reason

    def verdict(self) -> Verdict | None:
        """What the self-test said of this model; None before it has run."""
        try:
            return Verdict(**json.loads(self._verdict_file.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def search(
        self, query: str, scope: Scope, *, limit: int, documents: Collection[str] | None = None
    ) -> list[Hit]:
        """The nearest passages of the scope, best first; `documents`: those that its filter means. Raises `Away`."""
        if reason := self.reason():
            raise Away(reason)
        return self._nearest(query, scope, limit, documents)

    def catch_up(
        self,
        index: Index,
        stopped: threading.Event | None = None,
        *,
        wait_s: float = 0.0,
        progress: Callable[[int], None] = lambda _sequence: None,
    ) -> bool:
        """Take over what changed in the catalogue; True where nothing is left. Raises `EmbeddingError`, `IndexBusy`.

        Each batch is on disk before the next is asked for: after a kill it goes on where it was. The lexical index's
        lock is not held.
        """
        with alone(self._folder.lock, wait_s):
            done = self._take_over(index, stopped or threading.Event(), progress)
            state = self._folder.state()
            if done and state is not None and self._untested(state):
                self._test(index, state)
            return done

    def close(self) -> None:
        self._embedder.close()

    @property
    def _verdict_file(self) -> Path:
        return self._folder.path / "selftest.json"

    def _take_over(
        self, index: Index, stopped: threading.Event, progress: Callable[[int], None]
    ) -> bool:
        """Never further than the lexical index is: a search must not see a document in two versions."""
        state = self._folder.state()
        if state is not None and state.sequence > self._catalogue.sequence():
            state = None  # of another catalogue: a restored backup is older
        applied = index.applied()
        while changes := self._pending(state.sequence if state else 0, applied):
            if stopped.is_set():
                return False
            documents = [change.document_id for change in changes]
            passages = self._catalogue.passages_of(documents)
            state = self._exchange(state, documents, passages, changes[-1].sequence)
            progress(state.sequence)
        if state is not None:
            self._folder.compact(state)
        return True

    def _pending(self, after: int, applied: int) -> list[Change]:
        changes = self._catalogue.changes(after, DOCUMENTS_PER_COMMIT)
        return [change for change in changes if change.sequence <= applied]

    def _exchange(
        self,
        state: State | None,
        documents: Sequence[str],
        passages: Sequence[StoredPassage],
        sequence: int,
    ) -> State:
        texts = [f"{passage.title}\n{passage.text}" for passage in passages]
        dimensions = state.dimensions if state else self._settings.knowledge_embedding_dimensions
        matrix = self._embedder.passages(texts) if texts else np.empty((0, dimensions), np.float32)
        if state is None or (len(matrix) and matrix.shape[1] != state.dimensions):
            if state is not None and state.rows:
                raise EmbeddingError("The embedding model changed the length of its vectors.")
            state = self._folder.create(matrix.shape[1])
        return self._folder.exchange(state, documents, passages, matrix, sequence=sequence)

    def _nearest(
        self, query: str, scope: Scope, limit: int, documents: Collection[str] | None
    ) -> list[Hit]:
        held = self._open()
        allowed = _allowed(held, scope, documents) & ~self._outdated(held)
        if not allowed.any():
            return []
        scores = _cosines(held, self._question(query))
        scores[~allowed] = -np.inf
        count = min(limit, int(allowed.sum()))
        best = np.argpartition(-scores, count - 1)[:count]
        best = best[np.lexsort((held.rows["passage"][best].view("S16"), -scores[best]))]
        return [
            Hit(_name(held, at), float(np.clip((scores[at] + 1) / 2, 0, 1))) for at in best.tolist()
        ]

    def _outdated(self, held: Vectors) -> NDArray[np.bool_]:
        """Rows of documents that have changed since: the lexical index may have their new version."""
        if held.state.sequence == self._catalogue.sequence():
            return np.zeros(held.state.rows, bool)
        changes = self._catalogue.changes(held.state.sequence, MOST_OUTDATED + 1)
        if len(changes) > MOST_OUTDATED:
            raise Away(BEING_MADE)
        return among(held.rows["document"], [change.document_id for change in changes])

    def _question(self, query: str) -> Scores:
        try:
            return self._embedder.question(query)
        except EmbeddingError as error:
            self._paused_for, self._paused_until = str(error), time.monotonic() + PAUSE_S
            log.warning("vectors.away", reason=str(error), seconds=PAUSE_S)
            raise Away(str(error)) from None

    def _open(self) -> Vectors:
        """The vectors as they are now, mapped anew after a change."""
        state = self._folder.state()
        if state is None:
            raise Away(BEING_MADE)
        with self._lock:
            if self._held is None or self._held.state != state:
                try:
                    self._held = self._folder.read(state)
                except (OSError, ValueError):  # this build was cleared away in this moment
                    raise Away(BEING_MADE) from None
            return self._held

    def _untested(self, state: State) -> bool:
        """Never tested, or on less than half of what there is now."""
        verdict = self.verdict()
        return state.rows > 0 and (verdict is None or state.rows > 2 * verdict.rows)

    def _test(self, index: Index, state: State) -> None:
        """Judge the leg on a sample of this corpus and keep the verdict. Raises `EmbeddingError`."""
        passages, vectors = self._sample(state)
        window = self._settings.knowledge_fusion_window

        def lexical(text: str, passage: StoredPassage) -> list[Hit]:
            asked = terms(text, self._settings.knowledge_query_tokens)
            return list(index.search(asked, _whole(passage.base), limit=window))

        def hybrid(text: str, passage: StoredPassage) -> list[Hit]:
            near = self._nearest(text, _whole(passage.base), window, None)
            weighed = Ranking(near, self._settings.knowledge_fusion_weight)
            return fuse([Ranking(lexical(text, passage)), weighed], limit=window)

        try:
            verdict = replace(judge(passages, vectors, lexical, hybrid), rows=state.rows)
        except Away as away:
            raise EmbeddingError(str(away)) from None
        draft = self._verdict_file.with_suffix(".new")
        draft.write_text(json.dumps(asdict(verdict)))
        draft.replace(self._verdict_file)
        log.info("vectors.tested", **asdict(verdict))

    def _sample(self, state: State) -> tuple[list[StoredPassage], Matrix]:
        """Some passages from all over the rows, the same ones each time, and their vectors."""
        held = self._folder.read(state)
        live = np.flatnonzero(held.rows["group"] != GONE)
        size = self._settings.knowledge_embedding_sample
        some = live[:: max(1, len(live) // (4 * size))].tolist()
        rows = {_name(held, at): at for at in some}
        passages = sample(list(self._catalogue.passages(rows).values()), size)
        return passages, held.matrix[[rows[passage.id] for passage in passages]]


def _whole(base: str) -> Scope:
    """All of a base, whoever may see it."""
    return Scope({base: Fields()}, frozenset({EVERYTHING}))


def _allowed(held: Vectors, scope: Scope, documents: Collection[str] | None) -> NDArray[np.bool_]:
    """Which rows the scope lets through: by their groups, of which there are few, and by the filter's documents."""
    groups = [
        group.base in scope.bases
        and sees(scope.rights, group.access)
        and (not scope.languages or group.language in scope.languages)
        for group in held.state.groups
    ]
    last = np.array([*groups, False], bool)  # -1, the last: struck out
    allowed: NDArray[np.bool_] = last[held.rows["group"]]
    if documents is not None:
        allowed &= among(held.rows["document"], documents)
    return allowed


def _cosines(held: Vectors, question: Scores) -> Scores:
    if question.shape != (held.state.dimensions,):
        raise Away("The embedding model changed the length of its vectors.")
    scores = np.empty(held.state.rows, np.float32)
    for at in range(0, held.state.rows, SCAN_ROWS):
        np.dot(held.matrix[at : at + SCAN_ROWS], question, out=scores[at : at + SCAN_ROWS])
    return scores


def _name(held: Vectors, at: int) -> str:
    raw = held.rows["passage"][at].tobytes().hex()
    return f"{raw[:8]}-{raw[8:12]}-{raw[12:16]}-{raw[16:20]}-{raw[20:]}"
