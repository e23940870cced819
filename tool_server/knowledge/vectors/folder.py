"""The file of vectors: rows that are only added, each with its passage, its document and the group it belongs to.

Rows are written first and `state.json` last, in one step: after a kill rows that it does not count are overwritten.
Old rows are struck out; once they are the larger part, the rest is copied into a new build. For `leg`.
"""

import json
import os
import shutil
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tool_server.knowledge.document import StoredPassage
from tool_server.knowledge.vectors.embedding import Matrix

ROW = np.dtype([("passage", "V16"), ("document", "V16"), ("group", "<i4")])
GONE = -1
FLOAT = 4  # bytes
# Fewer old rows than this are not worth a copy.
LEAST_GONE = 1000

type Rows = NDArray[np.void]


@dataclass(frozen=True)
class Group:
    """What decides who may see a passage and where it is looked for: the same for many passages."""

    base: str
    language: str
    access: tuple[str, ...]


@dataclass(frozen=True)
class State:
    """How far a build is: rows that count, the last change in it, its groups by number."""

    build: str
    rows: int
    sequence: int
    dimensions: int
    groups: tuple[Group, ...]


@dataclass(frozen=True)
class Vectors:
    """A build as it was after one change, for reading."""

    state: State
    rows: Rows
    matrix: Matrix


class VectorFolder:
    """`vectors-<model>` in the index's folder: `state.json` and the build that it names."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def lock(self) -> Path:
        """Locked by the one process that writes."""
        self.path.mkdir(parents=True, exist_ok=True)
        return self.path / "writer.lock"

    def state(self) -> State | None:
        """None where there is no build, or where a power cut left half of its state."""
        try:
            held = json.loads((self.path / "state.json").read_text())
            groups = tuple(
                Group(g["base"], g["language"], tuple(g["access"])) for g in held["groups"]
            )
            state = State(**{**held, "groups": groups})
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        whole = (
            self._size(state, "vectors") >= state.rows * state.dimensions * FLOAT
            and self._size(state, "rows") >= state.rows * ROW.itemsize
        )
        return state if whole else None

    def read(self, state: State) -> Vectors:
        """Maps the files: what the kernel needs room for, it takes back."""
        shape = (state.rows, state.dimensions)
        if not state.rows:
            empty = np.empty(shape, np.float32)
            return Vectors(state, np.empty(0, ROW), empty)
        rows = np.fromfile(self._file(state.build, "rows"), ROW, state.rows)
        matrix = np.memmap(self._file(state.build, "vectors"), np.float32, "r", shape=shape)
        return Vectors(state, rows, np.asarray(matrix))

    def exchange(
        self,
        state: State,
        documents: Collection[str],
        passages: Sequence[StoredPassage],
        matrix: Matrix,
        *,
        sequence: int,
    ) -> State:
        """Strike out the rows of these documents, add those of their passages as they are now."""
        rows = np.fromfile(self._file(state.build, "rows"), ROW, state.rows)
        gone = among(rows["document"], documents)
        rows["group"][gone] = GONE
        groups = dict.fromkeys(state.groups)
        of = [Group(p.base, p.language, tuple(p.access)) for p in passages]
        groups.update(dict.fromkeys(of))
        number = {group: at for at, group in enumerate(groups)}
        added = np.empty(len(passages), ROW)
        added["passage"] = as_ids([passage.id for passage in passages])
        added["document"] = as_ids([passage.document_id for passage in passages])
        added["group"] = [number[group] for group in of]
        self._put(state.build, "vectors", state.rows * state.dimensions * FLOAT, matrix)
        self._put(state.build, "rows", 0, np.concatenate([rows, added]))
        after = State(
            state.build, state.rows + len(added), sequence, state.dimensions, tuple(groups)
        )
        self.publish(after)
        return after

    def create(self, dimensions: int) -> State:
        """An empty build."""
        name = f"build-{os.getpid()}-{os.urandom(3).hex()}"
        (self.path / name).mkdir(parents=True)
        for part in ("vectors", "rows"):
            self._file(name, part).touch()
        return State(name, 0, 0, dimensions, ())

    def compact(self, state: State) -> State:
        """The same without the rows that were struck out, where these are many."""
        held = self.read(state)
        live = held.rows["group"] != GONE
        if state.rows - live.sum() < max(LEAST_GONE, state.rows / 2):
            return state
        fresh = self.create(state.dimensions)
        self._put(fresh.build, "vectors", 0, held.matrix[live])
        self._put(fresh.build, "rows", 0, held.rows[live])
        after = State(fresh.build, int(live.sum()), state.sequence, state.dimensions, state.groups)
        self.publish(after)
        return after

    def publish(self, state: State) -> None:
        draft = self.path / f"state.{os.getpid()}"
        draft.write_text(json.dumps(asdict(state), ensure_ascii=False))
        draft.replace(self.path / "state.json")
        for folder in self.path.glob("build-*"):
            if folder.name != state.build:
                shutil.rmtree(folder, ignore_errors=True)

    def _put(self, build: str, part: str, at: int, values: Matrix | Rows) -> None:
        """Write from byte `at` on, to the disk: what stood there belonged to nothing that counts."""
        with self._file(build, part).open("r+b") as file:
            file.seek(at)
            file.write(np.ascontiguousarray(values).tobytes())
            file.flush()
            os.fsync(file.fileno())

    def _size(self, state: State, part: str) -> int:
        file = self._file(state.build, part)
        return file.stat().st_size if file.exists() else -1

    def _file(self, build: str, part: str) -> Path:
        return self.path / build / part


def as_ids(ids: Collection[str]) -> NDArray[np.void]:
    """Sixteen bytes each."""
    return np.frombuffer(b"".join(bytes.fromhex(name.replace("-", "")) for name in ids), "V16")


def among(column: NDArray[np.void], ids: Collection[str]) -> NDArray[np.bool_]:
    """Which of the ids in a column are these; told by their first halves, which are 64 random bits."""
    return np.isin(_halves(column), _halves(as_ids(ids)))


def _halves(ids: NDArray[np.void]) -> NDArray[np.uint64]:
    return np.ascontiguousarray(ids).view(np.uint64)[::2]
