"""How good a ranking is: measures of information retrieval over judged questions, and the files that hold those.

Called by `evaluate`. A document's grade says how well it answers a question; 0 and no judgement are the same.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


class BadLine(Exception):
    """A line that cannot be read; the sentence names file and line."""


@dataclass(frozen=True)
class Case:
    """A question with the documents that answer it, and how well: from 1."""

    name: str
    text: str
    grades: Mapping[str, int]


def read_cases(queries: Path, qrels: Path) -> tuple[list[Case], list[str]]:
    """The judged questions, and the names of those without a judgement. Raises `BadLine`."""
    grades: dict[str, dict[str, int]] = {}
    for query, document, grade in _judgements(qrels):
        if grade > 0:
            grades.setdefault(query, {})[document] = grade
    texts = dict(_questions(queries))
    judged = [Case(name, text, grades[name]) for name, text in texts.items() if name in grades]
    return judged, [name for name in texts if name not in grades]


def ndcg(ranked: Sequence[str], grades: Mapping[str, int], depth: int) -> float:
    """Normalised discounted cumulative gain, the gain being the grade; 0..1."""
    best = sorted(grades.values(), reverse=True)[:depth]
    gained = [grades.get(name, 0) for name in ranked[:depth]]
    return _discounted(gained) / _discounted(best)


def recall(ranked: Sequence[str], grades: Mapping[str, int], depth: int) -> float:
    return len(grades.keys() & set(ranked[:depth])) / len(grades)


def reciprocal_rank(ranked: Sequence[str], grades: Mapping[str, int], depth: int) -> float:
    """1 by the place of the first document that answers; 0 where none does."""
    places = (at for at, name in enumerate(ranked[:depth], start=1) if name in grades)
    first = next(places, None)
    return 1 / first if first else 0.0


def _discounted(gains: Sequence[int]) -> float:
    return sum(gain / math.log2(at + 2) for at, gain in enumerate(gains))


def _questions(path: Path) -> Iterator[tuple[str, str]]:
    """Question id, a tag that may be left out, text."""
    for number, parts in _lines(path):
        if len(parts) not in (2, 3) or not parts[0].strip() or not parts[-1].strip():
            raise BadLine(f"{path}, line {number}: expected a question's id, a tag, its text.")
        yield parts[0], parts[-1]


def _judgements(path: Path) -> Iterator[tuple[str, str, int]]:
    for number, parts in _lines(path):
        if len(parts) != 3 or not parts[2].strip().isdecimal():
            raise BadLine(
                f"{path}, line {number}: expected a question's id, a document's id, a grade from 0."
            )
        yield parts[0], parts[1], int(parts[2])


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError:
        raise BadLine(f"{path}: it is not UTF-8.") from None
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield number, line.removesuffix("\r").split("\t")
