"""The index: derived from the catalogue, brought up to it after a kill or a restored backup, one writer at a time."""

import json
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from playground.processes import environment
from tool_server.errors import Unavailable
from tool_server.knowledge.cut import cut
from tool_server.knowledge.document import Document, Piece, Section
from tool_server.knowledge.index import Fields, IndexBusy, Scope
from tool_server.knowledge.index.embedded import OPEN_SHARE, Embedded, _best, _query, _share
from tool_server.knowledge.index.folder import IndexFolder
from tool_server.knowledge.index.writer import build_schema
from tool_server.knowledge.ingest import ingest
from tool_server.knowledge.repair import PATIENCE_S, Repair
from tool_server.knowledge.search import Knowledge, Question, search
from tool_server.knowledge.terms import terms
from tool_server.settings import Settings

pytestmark = pytest.mark.embedded


def repaired(knowledge: Knowledge) -> Knowledge:
    """As another process would find it, once its repair is done."""
    fresh = Knowledge(
        knowledge.settings, knowledge.catalogue, Embedded(knowledge.settings.data_dir / "index")
    )
    clock = iter(range(10**6))
    repair = Repair(fresh, clock=lambda: 10.0 * next(clock))
    deadline = time.monotonic() + 30
    while fresh.index.applied() != fresh.catalogue.sequence() and time.monotonic() < deadline:
        repair.if_behind()
    repair.if_behind()
    return fresh


def test_a_lost_index_is_an_error_and_not_an_empty_answer(handbook: Knowledge) -> None:
    shutil.rmtree(handbook.settings.data_dir / "index")
    with pytest.raises(Unavailable):
        search(handbook, Question("年假", top_k=1))


def lose(folder: Path) -> None:
    shutil.rmtree(folder)


def age(folder: Path) -> None:
    current = folder / "current.json"
    current.write_text(json.dumps({**json.loads(current.read_text()), "format": "0-old"}))


def empty_current(folder: Path) -> None:
    (folder / "current.json").write_text("")


def strange_current(folder: Path) -> None:
    (folder / "current.json").write_text('{"folder": "x"}')


def break_meta(folder: Path) -> None:
    (next(folder.glob("lexical-*")) / "meta.json").write_text("{")


def lose_segments(folder: Path) -> None:
    for file in folder.glob("lexical-*/*.idx"):
        file.unlink()


@pytest.mark.parametrize(
    "damage", [lose, age, empty_current, strange_current, break_meta, lose_segments]
)
def test_an_index_that_cannot_be_used_is_built_anew_from_the_catalogue(
    handbook: Knowledge, damage: Callable[[Path], None]
) -> None:
    damage(handbook.settings.data_dir / "index")
    assert search(repaired(handbook), Question("年假", top_k=1)).found


def test_an_index_that_is_ahead_of_a_restored_catalogue_is_built_anew(
    knowledge: Knowledge, tmp_path: Path
) -> None:
    live, backup = knowledge.settings.data_dir / "catalogue.db", tmp_path / "backup.db"
    source = tmp_path / "a.txt"
    source.write_text("apples")
    ingest(knowledge, "kb", [source])
    with sqlite3.connect(live) as original, sqlite3.connect(backup) as copy:
        original.backup(copy)
    source.write_text("bananas")
    ingest(knowledge, "kb", [source])
    knowledge.catalogue.close()
    for file in live.parent.glob("catalogue.db*"):
        file.unlink()
    shutil.copy(backup, live)
    restored = repaired(knowledge)
    assert search(restored, Question("apples", top_k=1)).found
    assert search(restored, Question("bananas", top_k=1)).passages == ()


def test_an_index_that_misses_passages_is_built_anew(handbook: Knowledge) -> None:
    index = handbook.settings.data_dir / "index"
    applied = handbook.index.applied()
    shutil.rmtree(index)
    with handbook.index.writing(handbook.catalogue):
        pass
    folder = IndexFolder(index)
    emptied = folder.create(build_schema())
    folder.publish(emptied, applied)
    assert handbook.index.applied() == handbook.catalogue.sequence()
    assert search(repaired(handbook), Question("年假", top_k=1)).found


def test_another_process_sees_a_change_at_once(handbook: Knowledge, tmp_path: Path) -> None:
    reader = Knowledge(
        handbook.settings, handbook.catalogue, Embedded(handbook.settings.data_dir / "index")
    )
    assert not search(reader, Question("zeppelin", top_k=1)).found
    (tmp_path / "z.txt").write_text("The zeppelin leaves at noon.")
    ingest(handbook, "handbook", [tmp_path / "z.txt"])
    assert search(reader, Question("zeppelin", top_k=1)).found


def test_a_second_writer_is_told_so(handbook: Knowledge) -> None:
    first = handbook.index.writing(handbook.catalogue)
    second = handbook.index.writing(handbook.catalogue)
    with first, pytest.raises(IndexBusy), second:
        pass


@pytest.mark.quiet
def test_a_search_does_not_wait_for_an_ingest(handbook: Knowledge) -> None:
    """An ingest has stored documents and not indexed them yet; the repair leaves that to it."""
    with handbook.index.writing(handbook.catalogue):
        handbook.catalogue.withdraw("handbook", "employee", ())
        started = time.monotonic()
        Repair(handbook).if_behind()
        assert search(handbook, Question("年假", top_k=1)).found
        assert time.monotonic() - started < PATIENCE_S


@pytest.mark.thorough
def test_kills_while_ingesting_lose_nothing_and_the_same_call_goes_on(
    settings: Settings, tmp_path: Path
) -> None:
    count = 3000
    lines = (json.dumps({"id": f"d{n}", "text": f"word{n} about subject{n}"}) for n in range(count))
    source = tmp_path / "many.jsonl"
    source.write_text("\n".join(lines))
    command = [sys.executable, "-m", "tool_server", "ingest", "--base", "kb", str(source)]
    environ = environment(
        SHENQIAO_DATA_DIR=str(settings.data_dir),
        SHENQIAO_RUN_DIR=str(settings.run_dir),
        SHENQIAO_MODEL_ENABLED="false",
    )
    knowledge = Knowledge.open(settings)
    kept = 0
    for target in (1, count // 2):
        running = subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while knowledge.catalogue.sequence() < target and time.monotonic() < deadline:
            time.sleep(0.005)
        running.send_signal(signal.SIGKILL)
        running.wait()
        assert max(kept, target) <= knowledge.catalogue.sequence() < count
        kept = knowledge.catalogue.sequence()
    found = repaired(knowledge)
    assert search(found, Question(f"subject{kept - 1}", bases=("kb",), top_k=1)).found
    assert subprocess.run(command, env=environ, check=False).returncode == 0
    assert [base.documents for base in knowledge.catalogue.bases()] == [count]
    for number in (0, kept, count - 1):
        assert search(knowledge, Question(f"subject{number}", bases=("kb",), top_k=1)).found
    knowledge.catalogue.close()


def test_a_score_stays_in_its_bounds_while_replaced_passages_are_still_counted(
    knowledge: Knowledge,
) -> None:
    with knowledge.index.writing(knowledge.catalogue) as writer:
        for names, text in (("ab", "the zeppelin leaves"), ("a", "the zeppelin is back")):
            several = [Document(name, name, (Section("", text),)) for name in names]
            pieces = {document.source_id: [Piece("", text)] for document in several}
            knowledge.catalogue.put("kb", several, pieces)
            writer.sync()
        scores = [found.score for found in search(knowledge, Question("zeppelin")).passages]
    assert len(scores) == 2
    assert all(0 < score <= 1 for score in scores)


def test_the_open_ranking_and_the_one_inside_the_scope_are_the_same(knowledge: Knowledge) -> None:
    """Scopes from nearly all of the index to hardly any of it, and questions that all or few passages answer."""
    rng = random.Random(7)
    words = [f"word{number}" for number in range(40)]
    for base, count in (("one", 300), ("two", 300), ("little", 30)):
        documents = [
            Document(
                f"d{number}",
                f"title {rng.choice(words)}",
                (Section("", " ".join(rng.choices(words, k=rng.randint(3, 60)))),),
                access=() if number % 5 else (f"user:a/{number % 3}",),
            )
            for number in range(count)
        ]
        knowledge.catalogue.put(base, documents, {d.source_id: cut(d, 600) for d in documents})
    with knowledge.index.writing(knowledge.catalogue):
        pass
    index = Embedded(knowledge.settings.data_dir / "index")
    opened = index._open()
    assert opened is not None
    ways = set()
    for bases in (("one",), ("one", "two", "little"), ("little",)):
        for rights in ({"public"}, {"public", "user:a/1"}, {"user:b/1"}, {"*"}):
            for languages in (set(), {"en"}, {"zh"}):
                scope = Scope(
                    dict.fromkeys(bases, Fields()), frozenset(rights), None, frozenset(languages)
                )
                for query in ("word1", "word1 word2 word3 word4", "title", "nothing"):
                    asked = terms(query, 10)
                    inside = opened.best(_query(opened.index.schema, asked, scope), 10)
                    assert [score for score, _ in _best(opened, asked, scope, 10)] == pytest.approx(
                        [score for score, _ in inside]
                    )
                    ways.add((_share(opened, scope) >= OPEN_SHARE, bool(inside)))
    assert len(ways) == 4
