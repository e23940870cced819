"""Writing into a real Elasticsearch: kills, lost aliases, two writers, an index that is made anew under searches."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from playground.processes import environment
from tests.real.node import Node
from tests.real.waiting import wait_until
from tool_server.errors import Unavailable
from tool_server.knowledge.document import Document, Piece, Section
from tool_server.knowledge.index import Fields, IndexBusy, Scope, elastic_state
from tool_server.knowledge.index.elastic import Elastic
from tool_server.knowledge.ingest import ingest
from tool_server.knowledge.repair import Repair
from tool_server.knowledge.search import Knowledge, Question, search
from tool_server.knowledge.terms import Term
from tool_server.settings import Settings

type Open = Callable[..., Knowledge]
DOCUMENTS = 1500


def elastic_of(knowledge: Knowledge) -> Elastic:
    assert isinstance(knowledge.index, Elastic)
    return knowledge.index


def source(folder: Path, count: int = DOCUMENTS) -> Path:
    lines = (json.dumps({"id": f"d{n}", "text": f"word{n} about subject{n}"}) for n in range(count))
    path = folder / "many.jsonl"
    path.write_text("\n".join(lines))
    return path


def start_ingest(settings: Settings, path: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "tool_server", "ingest", "--base", "kb", str(path)]
    environ = environment(
        SHENQIAO_DATA_DIR=str(settings.data_dir),
        SHENQIAO_RUN_DIR=str(settings.run_dir),
        SHENQIAO_MODEL_ENABLED="false",
        SHENQIAO_KNOWLEDGE_BACKEND="elasticsearch",
        SHENQIAO_KNOWLEDGE_ELASTICSEARCH_URLS=settings.knowledge_elasticsearch_urls,
        SHENQIAO_KNOWLEDGE_ELASTICSEARCH_PREFIX=settings.knowledge_elasticsearch_prefix,
    )
    return subprocess.Popen(
        command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def finish(settings: Settings, path: Path) -> None:
    assert start_ingest(settings, path).wait(120) == 0


def assert_whole(knowledge: Knowledge, count: int = DOCUMENTS) -> None:
    """Each document once: nothing lost, nothing doubled."""
    elastic = elastic_of(knowledge)
    elastic.forget()
    assert knowledge.catalogue.passage_count() == count
    assert elastic.passage_count() == count
    assert elastic.applied() == knowledge.catalogue.sequence()
    for number in (0, count // 3, count - 1):
        found = search(knowledge, Question(f"subject{number}", bases=("kb",), top_k=5))
        assert [passage.source_id for passage in found.passages] == [f"many.jsonl#d{number}"]


def test_kills_of_the_ingesting_process_lose_nothing_and_double_nothing(
    node: Node, opened: Open, tmp_path: Path
) -> None:
    knowledge = opened(node.url)
    path = source(tmp_path)
    for target in (1, DOCUMENTS // 2):
        process = start_ingest(knowledge.settings, path)
        wait_until(lambda: knowledge.catalogue.sequence() >= target)  # noqa: B023
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert knowledge.catalogue.sequence() < DOCUMENTS
    with knowledge.index.writing(knowledge.catalogue):  # as the web process's repair does
        pass
    assert_whole(knowledge, knowledge.catalogue.passage_count())
    finish(knowledge.settings, path)
    assert_whole(knowledge)


def test_a_kill_of_the_node_loses_nothing_and_the_search_comes_back_by_itself(
    fragile: Node, opened: Open, tmp_path: Path
) -> None:
    knowledge = opened(fragile.url)
    path = source(tmp_path)
    process = start_ingest(knowledge.settings, path)
    wait_until(lambda: knowledge.catalogue.sequence() >= DOCUMENTS // 2)
    fragile.kill()
    assert process.wait(120) != 0
    knowledge.index.close()
    elastic_of(knowledge).forget()
    with pytest.raises(Unavailable, match="cannot be reached"):
        search(knowledge, Question("subject0", top_k=1))
    fragile.start()
    repair = Repair(knowledge)

    def mended() -> bool:
        try:
            repair.if_behind()
            return knowledge.index.applied() == knowledge.catalogue.sequence()
        except Unavailable:
            return False

    wait_until(mended)
    assert search(knowledge, Question("subject0", top_k=1)).found
    finish(knowledge.settings, path)
    assert_whole(knowledge)


def test_no_search_fails_while_the_index_is_made_anew(
    node: Node, opened: Open, tmp_path: Path
) -> None:
    knowledge = opened(node.url, SHENQIAO_KNOWLEDGE_ELASTICSEARCH_TIMEOUT_S="1")
    ingest(knowledge, "kb", [source(tmp_path, 300)])
    readers = [opened(node.url) for _ in range(3)]
    ended = threading.Event()
    faults: list[object] = []
    searches = 0

    def look(reader: Knowledge) -> None:
        nonlocal searches
        while not ended.is_set():
            try:
                result = search(reader, Question("subject7", bases=("kb",), top_k=1))
                if not result.found:
                    faults.append(result)
            except Exception as error:
                faults.append(error)
            searches += 1

    threads = [threading.Thread(target=look, args=(reader,)) for reader in readers]
    for thread in threads:
        thread.start()
    said: list[tuple[int, int]] = []
    for _ in range(3):
        knowledge.index.rebuild(knowledge.catalogue, lambda done, total: said.append((done, total)))
    ended.set()
    for thread in threads:
        thread.join()
    assert faults == []
    assert searches > 30
    assert said[-1] == (300, 300)
    assert len(indexes(node, knowledge)) == 1


def test_a_rebuild_that_fails_leaves_the_old_index_and_nothing_else(
    node: Node, opened: Open, tmp_path: Path
) -> None:
    knowledge = opened(node.url)
    ingest(knowledge, "kb", [source(tmp_path, 3)])
    before = indexes(node, knowledge)

    def fail(_done: int, _all: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        knowledge.index.rebuild(knowledge.catalogue, fail)
    assert indexes(node, knowledge) == before
    assert_whole(knowledge, 3)


def test_an_index_that_goes_away_is_an_error_and_not_an_empty_answer(
    node: Node, opened: Open, tmp_path: Path
) -> None:
    knowledge = opened(node.url)
    ingest(knowledge, "kb", [source(tmp_path, 3)])
    assert search(knowledge, Question("subject1", top_k=1)).found
    for index in indexes(node, knowledge):
        node.call("DELETE", f"/{index}")
    for _ in range(2):
        with pytest.raises(Unavailable, match=r"missing|being built"):
            search(knowledge, Question("subject1", top_k=1))


def indexes(node: Node, knowledge: Knowledge) -> set[str]:
    found = node.call("GET", f"/{elastic_of(knowledge).names.pattern}/_alias")
    assert isinstance(found, dict)
    return set(found)


def write_after(knowledge: Knowledge, change: Callable[[], object]) -> None:
    """A writer at work, to which something happens from outside."""
    document = Document("a.txt", "a", (Section("", "apples"),))
    with knowledge.index.writing(knowledge.catalogue) as writer:
        change()
        knowledge.catalogue.put("kb", [document], {"a.txt": [Piece("", "apples")]})
        writer.sync()


def test_a_write_alias_that_is_missing_makes_no_index_of_that_name_and_is_mended(
    node: Node, opened: Open, tmp_path: Path
) -> None:
    knowledge = opened(node.url)
    names = elastic_of(knowledge).names
    remove = {"remove": {"index": names.pattern, "alias": names.write}}
    with pytest.raises(Unavailable, match="alias"):
        write_after(knowledge, lambda: node.call("POST", "/_aliases", {"actions": [remove]}))
    assert all(names.is_ours(index) for index in indexes(node, knowledge))
    (tmp_path / "b.txt").write_text("bananas")
    ingest(knowledge, "kb", [tmp_path / "b.txt"])
    for word in ("apples", "bananas"):
        assert search(knowledge, Question(word, top_k=1)).found
    assert len(indexes(node, knowledge)) == 1


def test_a_passage_that_elasticsearch_refuses_is_an_error_and_not_skipped(
    node: Node, opened: Open
) -> None:
    knowledge = opened(node.url)
    settings = f"/{elastic_of(knowledge).names.write}/_settings"
    block = {"index.blocks.write": True}
    with pytest.raises(Unavailable, match="did not take a passage"):
        write_after(knowledge, lambda: node.call("PUT", settings, block))
    elastic_of(knowledge).forget()
    assert knowledge.index.applied() == 0


def test_another_process_of_this_machine_that_writes_is_told_so(node: Node, opened: Open) -> None:
    knowledge = opened(node.url)
    first, second = (knowledge.index.writing(knowledge.catalogue) for _ in range(2))
    with first, pytest.raises(IndexBusy), second:
        pass


def change_state(knowledge: Knowledge, **changes: object) -> None:
    """As another machine would."""
    elastic = elastic_of(knowledge)
    client = elastic.connection.client()
    kept = elastic_state.read(client, elastic.names.read)
    assert kept is not None
    elastic_state.exchange(client, kept, **changes)
    elastic.forget()


def test_a_writer_of_another_machine_is_waited_for_until_it_is_silent_for_a_minute(
    node: Node, opened: Open
) -> None:
    knowledge = opened(node.url)
    with knowledge.index.writing(knowledge.catalogue):
        pass
    change_state(knowledge, session="other", machine="elsewhere", at=time.time())
    with pytest.raises(IndexBusy), knowledge.index.writing(knowledge.catalogue):
        pass
    change_state(knowledge, at=time.time() - 61)
    with knowledge.index.writing(knowledge.catalogue):
        pass


def test_a_writer_that_another_machine_took_over_from_ends(node: Node, opened: Open) -> None:
    knowledge = opened(node.url)
    with pytest.raises(IndexBusy):
        write_after(
            knowledge, lambda: change_state(knowledge, session="other", machine="elsewhere")
        )


def test_the_index_of_another_installation_is_neither_searched_nor_written_but_taken_over_by_command(
    node: Node, opened: Open, tmp_path: Path
) -> None:
    first, second = opened(node.url, "first"), opened(node.url, "second")
    (tmp_path / "a.txt").write_text("apples")
    ingest(first, "kb", [tmp_path / "a.txt"])
    with pytest.raises(Unavailable, match="another installation"):
        search(second, Question("apples", top_k=1))
    with pytest.raises(Unavailable, match="another installation"):
        ingest(second, "kb", [tmp_path / "a.txt"])
    assert search(first, Question("apples", top_k=1)).found
    second.index.rebuild(second.catalogue, lambda _done, _all: None)
    ingest(second, "kb", [tmp_path / "a.txt"])
    assert search(second, Question("apples", top_k=1)).found


@pytest.mark.parametrize("changes", [{"schema": 0}, {"applied": 10**6}])
def test_an_index_of_another_form_or_ahead_of_a_restored_catalogue_is_made_anew(
    node: Node, opened: Open, tmp_path: Path, changes: dict[str, int]
) -> None:
    knowledge = opened(node.url)
    ingest(knowledge, "kb", [source(tmp_path, 3)])
    before = indexes(node, knowledge)
    change_state(knowledge, **changes)
    Repair(knowledge).if_behind()
    wait_until(lambda: knowledge.index.applied() == knowledge.catalogue.sequence())
    wait_until(lambda: indexes(node, knowledge).isdisjoint(before))
    assert_whole(knowledge, 3)


def test_an_index_that_misses_passages_is_made_anew(
    node: Node, opened: Open, tmp_path: Path
) -> None:
    knowledge = opened(node.url)
    ingest(knowledge, "kb", [source(tmp_path, 3)])
    elastic = elastic_of(knowledge)
    (hit,) = elastic.search([Term("subject1")], Scope({"kb": Fields()}), limit=1)
    elastic.connection.client().delete(index=elastic.names.write, id=hit.passage_id, refresh=True)
    with knowledge.index.writing(knowledge.catalogue):
        pass
    assert_whole(knowledge, 3)
