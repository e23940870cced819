"""While documents are updated and moved, a search in a loop sees the old or the new version, never both or neither."""

import threading
from pathlib import Path

import pytest

from tests.waiting import wait_for
from tool_server.knowledge.index.choose import open_index
from tool_server.knowledge.ingest import ingest
from tool_server.knowledge.search import Knowledge, Question, search


class Reader:
    """Searches as fast as it can, as another process would, and keeps what it saw."""

    def __init__(self, knowledge: Knowledge) -> None:
        index = open_index(knowledge.settings, knowledge.catalogue)
        self._knowledge = Knowledge(knowledge.settings, knowledge.catalogue, index)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.seen: list[tuple[tuple[str, str], ...]] = []

    def _run(self) -> None:
        while not self._over.is_set():
            found = search(self._knowledge, Question("zeppelin", top_k=50)).passages
            self.seen.append(tuple(sorted((p.source_id, p.content) for p in found)))

    def looked_twice(self) -> None:
        """Wait until it has seen how things are now."""
        before = len(self.seen)
        wait_for(lambda: len(self.seen) >= before + 2)

    def __enter__(self) -> "Reader":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def parts(version: int) -> str:
    """A document of eight passages."""
    return "\n\n".join(f"# Part {at}\nzeppelin version{version} part{at}" for at in range(8))


@pytest.mark.parametrize("rounds", [12])
def test_an_update_is_seen_whole(knowledge: Knowledge, tmp_path: Path, rounds: int) -> None:
    path = tmp_path / "a.md"
    path.write_text(parts(0))
    ingest(knowledge, "kb", [path])
    with Reader(knowledge) as reader:
        for version in range(1, rounds):
            path.write_text(parts(version))
            ingest(knowledge, "kb", [path])
            reader.looked_twice()
    assert len(reader.seen) > rounds
    for seen in reader.seen:
        versions = {content.split()[1] for _, content in seen}
        assert (len(seen), len(versions)) == (8, 1), seen


@pytest.mark.parametrize("rounds", [12])
def test_a_move_is_seen_whole(knowledge: Knowledge, tmp_path: Path, rounds: int) -> None:
    path = tmp_path / "in" / "at-0.md"
    path.parent.mkdir()
    path.write_text(parts(0))
    ingest(knowledge, "kb", [path.parent])
    with Reader(knowledge) as reader:
        for number in range(1, rounds):
            path = path.rename(path.with_name(f"at-{number}.md"))
            ingest(knowledge, "kb", [path.parent])
            reader.looked_twice()
    assert len({seen[0][0] for seen in reader.seen}) > 1
    for seen in reader.seen:
        assert (len(seen), len({source for source, _ in seen})) == (8, 1), seen
