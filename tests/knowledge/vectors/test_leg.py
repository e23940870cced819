"""The vector leg: on where it helps, off with a reason where not; derived from the catalogue, through kills too."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from playground.processes import environment
from tests.fakes.embedding import (
    FakeModel,
    by_english_words,
    by_letters,
    constant,
    random,
)
from tool_server.knowledge.document import Document, Piece, Section
from tool_server.knowledge.index import Fields, Scope
from tool_server.knowledge.ingest import ingest
from tool_server.knowledge.rights import PUBLIC
from tool_server.knowledge.search import Knowledge, Question, Result, search
from tool_server.knowledge.vectors.embedding import EmbeddingError
from tool_server.knowledge.vectors.folder import GONE, VectorFolder, Vectors
from tool_server.knowledge.vectors.leg import VectorLeg
from tool_server.settings import Settings

HANDBOOK = Path(__file__).parents[3] / "playground" / "handbook"


@pytest.fixture
def model() -> Iterator[FakeModel]:
    with FakeModel() as model:
        yield model


@contextmanager
def opened(settings: Settings, model: FakeModel, **changes: object) -> Iterator[Knowledge]:
    """An installation with this embedding model."""
    update = {"knowledge_embedding_url": model.url, **changes}
    knowledge = Knowledge.open(settings.model_copy(update=update))
    yield knowledge
    leg_of(knowledge).close()
    knowledge.catalogue.close()


@pytest.fixture
def with_handbook(settings: Settings, model: FakeModel) -> Iterator[Knowledge]:
    with opened(settings, model) as knowledge:
        ingest(knowledge, "handbook", [HANDBOOK])
        yield knowledge


def leg_of(knowledge: Knowledge) -> VectorLeg:
    assert knowledge.vectors is not None
    return knowledge.vectors


def made(knowledge: Knowledge) -> VectorLeg:
    leg = leg_of(knowledge)
    assert leg.catch_up(knowledge.index)
    return leg


def put(knowledge: Knowledge, source: str, text: str, *, access: tuple[str, ...] = ()) -> None:
    document = Document(source, "", (Section("", text),), access=access)
    knowledge.catalogue.put("kb", [document], {source: [Piece("", text)]})
    with knowledge.index.writing(knowledge.catalogue):
        pass


def near(leg: VectorLeg, query: str, **scope: frozenset[str]) -> list[str]:
    return [hit.passage_id for hit in leg.search(query, within(**scope), limit=50)]


def within(**scope: frozenset[str]) -> Scope:
    return Scope({"kb": Fields(), "handbook": Fields()}, **scope)  # type: ignore[arg-type]  # frozen sets both


def texts(result: Result) -> list[str]:
    return [passage.content for passage in result.passages]


def test_a_good_model_passes_and_searches_are_hybrid(with_handbook: Knowledge) -> None:
    leg = made(with_handbook)
    assert leg.reason() == ""
    result = search(with_handbook, Question("带薪年休假有几天", top_k=3))
    assert (result.mode, result.reason) == ("hybrid", "")
    assert "员工每年享有 12 天带薪年假。" in texts(result)


def test_lexical_is_lexical_whatever_is_on(with_handbook: Knowledge, model: FakeModel) -> None:
    made(with_handbook)
    asked = len(model.bodies)
    assert search(with_handbook, Question("年假", mode="lexical")).mode == "lexical"
    assert len(model.bodies) == asked


@pytest.mark.parametrize(
    ("vector", "said"),
    [
        (constant, "nearly the same vector"),
        (by_english_words, "'zh'|all Chinese texts"),
        (random, "found worse"),
    ],
)
def test_a_model_that_is_of_no_use_here_stays_off_and_says_so(
    with_handbook: Knowledge, model: FakeModel, vector: object, said: str
) -> None:
    model.vector = vector  # type: ignore[assignment]  # one of the functions above
    leg = made(with_handbook)
    assert re.search(said, leg.reason())
    result = search(with_handbook, Question("年假", mode="hybrid"))
    assert (result.mode, result.reason) == ("lexical", leg.reason())


def test_hybrid_without_a_model_is_lexical_and_says_so(handbook: Knowledge) -> None:
    result = search(handbook, Question("年假", mode="hybrid"))
    assert (result.mode, result.reason) == ("lexical", "No embedding model is configured.")
    assert search(handbook, Question("年假")).reason == ""


def test_before_the_vectors_are_made_searches_are_lexical(with_handbook: Knowledge) -> None:
    result = search(with_handbook, Question("年假", mode="hybrid"))
    assert (result.mode, result.reason) == ("lexical", "The vectors are being made.")
    assert result.found


def test_a_model_that_is_away_is_not_waited_for_twice(
    with_handbook: Knowledge, model: FakeModel
) -> None:
    made(with_handbook)
    model.status = 500
    asked = len(model.bodies)
    for _ in range(3):
        result = search(with_handbook, Question("年假", mode="hybrid"))
        assert (result.mode, result.reason) == ("lexical", "The embedding model answered 500.")
        assert result.found
    assert len(model.bodies) == asked + 1


def test_a_model_that_goes_away_in_its_test_is_tested_later(
    with_handbook: Knowledge, model: FakeModel
) -> None:
    def only_passages(text: str) -> list[float]:
        return by_letters(text) if "\n" in text else []

    model.vector = only_passages
    with pytest.raises(EmbeddingError):
        leg_of(with_handbook).catch_up(with_handbook.index)
    assert leg_of(with_handbook).verdict() is None
    model.vector = by_letters
    made(with_handbook)
    verdict = leg_of(with_handbook).verdict()
    assert verdict is not None
    assert verdict.passed


def test_a_changed_document_is_found_as_it_is_now(settings: Settings, model: FakeModel) -> None:
    with opened(settings, model) as knowledge:
        put(knowledge, "a", "The old text of this document.")
        put(knowledge, "b", "Another document altogether.")
        leg = made(knowledge)
        before = set(near(leg, "document"))
        put(knowledge, "a", "Its new text is another one.")
        made(knowledge)
        after = set(near(leg, "document"))
        assert len(before) == len(after) == 2
        assert len(before & after) == 1


def test_a_withdrawn_document_is_not_near_anything(settings: Settings, model: FakeModel) -> None:
    with opened(settings, model) as knowledge:
        put(knowledge, "a", "The text of this document.")
        leg = made(knowledge)
        assert len(near(leg, "document")) == 1
        knowledge.catalogue.withdraw("kb", "a", ())
        assert near(leg, "document") == []
        with knowledge.index.writing(knowledge.catalogue):
            made(knowledge)
        assert near(leg, "document") == []
        assert (_read(settings).rows["group"] == GONE).all()


def test_no_document_is_near_in_two_versions(settings: Settings, model: FakeModel) -> None:
    """The vectors go no further than the lexical index, and leave out what has changed since."""
    with opened(settings, model) as knowledge:
        put(knowledge, "a", "The text of this document.")
        leg = made(knowledge)
        document = Document("a", "", (Section("", "Another text."),))
        knowledge.catalogue.put("kb", [document], {"a": [Piece("", "Another text.")]})
        made(knowledge)
        assert near(leg, "document") == []
        with knowledge.index.writing(knowledge.catalogue):
            made(knowledge)
        assert len(near(leg, "document")) == 1


def test_only_passages_of_the_scope_are_near(settings: Settings, model: FakeModel) -> None:
    with opened(settings, model) as knowledge:
        put(knowledge, "open", "A text that everybody may see.")
        put(knowledge, "closed", "A text that one user may see.", access=("user:corp/anna",))
        put(knowledge, "zh", "一段每个人都可以看的文字。")
        leg = made(knowledge)
        anna = frozenset({PUBLIC, "user:corp/anna"})
        assert [len(near(leg, "text")), len(near(leg, "text", rights=anna))] == [2, 3]
        assert len(near(leg, "text", languages=frozenset({"zh"}))) == 1
        (wanted,) = knowledge.catalogue.changes(0, 1)
        hits = leg.search("text", within(), limit=9, documents=[wanted.document_id])
        assert len(hits) == 1
        assert leg.search("text", Scope({"other": Fields()}), limit=9) == []


def test_the_nearest_come_first_with_scores_from_0_to_1(with_handbook: Knowledge) -> None:
    hits = made(with_handbook).search("员工每年享有 12 天带薪年假。", within(), limit=5)
    scores = [hit.score for hit in hits]
    assert scores == sorted(scores, reverse=True)
    assert 0 <= scores[-1] < scores[0] <= 1


def test_another_model_begins_anew(
    settings: Settings, model: FakeModel, with_handbook: Knowledge
) -> None:
    made(with_handbook)
    with opened(settings, model, knowledge_embedding_model="another") as knowledge:
        assert leg_of(knowledge).reason() == "The vectors are being made."
        assert made(knowledge).reason() == ""


def test_a_corpus_that_has_grown_is_tested_again(settings: Settings, model: FakeModel) -> None:
    with opened(settings, model) as knowledge:
        put(knowledge, "a", "A text about something or other.")
        first = made(knowledge).verdict()
        for number in range(3):
            put(knowledge, f"b{number}", f"{number}: another text about other things.")
        second = made(knowledge).verdict()
        assert first is not None
        assert second is not None
        assert (first.rows, second.rows) == (1, 4)


def test_a_catalogue_from_a_backup_begins_anew(
    settings: Settings, model: FakeModel, with_handbook: Knowledge
) -> None:
    """Its changes have lower numbers than the vectors."""
    leg = made(with_handbook)
    state = VectorFolder(_folder(settings)).state()
    assert state is not None
    VectorFolder(_folder(settings)).publish(
        type(state)(state.build, state.rows, 10**6, state.dimensions, state.groups)
    )
    assert leg.catch_up(with_handbook.index)
    assert _read(settings).state.sequence == with_handbook.catalogue.sequence()


def test_struck_out_rows_are_cleared_once_they_are_many(
    settings: Settings, model: FakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tool_server.knowledge.vectors.folder.LEAST_GONE", 2)
    with opened(settings, model) as knowledge:
        put(knowledge, "stays", "This text stays as it is.")
        for version in range(6):
            put(knowledge, "a", f"Version {version} of this text.")
            leg = made(knowledge)
        held = _read(settings)
        assert held.state.rows < 7
        assert (held.rows["group"] != GONE).sum() == 2
        assert len(near(leg, "text")) == 2


def test_a_vector_of_another_length_is_refused(with_handbook: Knowledge, model: FakeModel) -> None:
    made(with_handbook)
    put(with_handbook, "new", "A new text.")
    model.vector = lambda text: by_letters(text)[:128]
    with pytest.raises(EmbeddingError, match="changed the length"):
        leg_of(with_handbook).catch_up(with_handbook.index)
    assert search(with_handbook, Question("年假")).mode == "lexical"


@pytest.mark.thorough
def test_kills_lose_no_vector_and_the_same_call_goes_on(
    settings: Settings, model: FakeModel
) -> None:
    model.slow_s = 0.05
    count = 400
    with opened(settings, model) as knowledge:
        documents = [
            Document(f"d{n}", "", (Section("", f"word{n} subject{n}"),)) for n in range(count)
        ]
        pieces = {d.source_id: [Piece("", d.sections[0].text)] for d in documents}
        knowledge.catalogue.put("kb", documents, pieces)
        with knowledge.index.writing(knowledge.catalogue):
            pass
        for rows in (1, 150):
            running = subprocess.Popen(
                [sys.executable, "-m", "tool_server", "vectors"],
                env=environment(
                    SHENQIAO_DATA_DIR=str(settings.data_dir),
                    SHENQIAO_RUN_DIR=str(settings.run_dir),
                    SHENQIAO_MODEL_ENABLED="false",
                    SHENQIAO_KNOWLEDGE_EMBEDDING_URL=model.url,
                ),
                stderr=subprocess.DEVNULL,
            )
            _wait_for(settings, rows)
            running.send_signal(signal.SIGKILL)
            running.wait()
        model.slow_s = 0
        made(knowledge)
        held = _read(settings)
        assert (held.rows["group"] != GONE).sum() == held.state.rows == count
        passages = [text for text in model.embedded if text.count("word") == 1]
        assert count <= len(set(passages)) + 100  # excerpts of the self-test are among them
        assert len(passages) < count + 2 * 50 + 2 * 100


def _wait_for(settings: Settings, rows: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        state = VectorFolder(_folder(settings)).state() if _exists(settings) else None
        if state is not None and state.rows >= rows:
            return
        time.sleep(0.005)
    raise AssertionError("no vectors were made")


def _exists(settings: Settings) -> bool:
    return any((settings.data_dir / "index").glob("vectors-*"))


def _folder(settings: Settings) -> Path:
    (folder,) = (settings.data_dir / "index").glob("vectors-*")
    return folder


def _read(settings: Settings) -> Vectors:
    folder = VectorFolder(_folder(settings))
    state = folder.state()
    assert state is not None
    return folder.read(state)
