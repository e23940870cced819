"""Strangers' worst files: each ends as it should, in bounded time and memory, and the next file is read as ever."""

import io
import random
import resource
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.knowledge.parse.files import with_part
from tests.knowledge.parse.nasty import ANY, READ, Nasty, nasty_files, valid_files
from tool_server.knowledge.parse import Parser, Unreadable

FILE_S = 15  # the limit for one, 10 s, and what a loaded machine adds
PARENT_GROWTH_MB = (
    250  # one document of 20 million characters, as text and as the message it came in
)
FLIPS = 200


def fate_of(parser: Parser, path: Path) -> str:
    try:
        documents = list(parser.documents(path, path.name if path.name.isprintable() else "odd"))
    except Unreadable as error:
        return str(error)
    assert documents
    return READ


def peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


@pytest.mark.quiet
@pytest.mark.thorough
def test_each_of_two_hundred_nasty_files_ends_as_it_should(parser: Parser, tmp_path: Path) -> None:
    files = list(nasty_files())
    assert len(files) >= 200
    assert len({file.name for file in files}) == len(files)
    good = tmp_path / "good.txt"
    good.write_text("apple")
    wrong = []
    grown = 0
    for number, file in enumerate(files):
        folder = tmp_path / str(number)
        folder.mkdir()
        file.make(folder / file.name)
        before, began = peak_mb(), time.monotonic()
        fate = fate_of(parser, folder / file.name)
        took, grown = time.monotonic() - began, grown + peak_mb() - before
        if not _as_it_should(file, fate) or took > FILE_S:
            wrong.append((file.name, file.fate, fate, round(took, 1)))
        assert fate_of(parser, good) == READ, file.name
    assert wrong == []
    assert grown < PARENT_GROWTH_MB


def _as_it_should(file: Nasty, fate: str) -> bool:
    if file.fate == ANY:
        return True
    return fate == READ if file.fate == READ else file.fate in fate


def flipped() -> Iterator[tuple[str, bytes]]:
    """Every good file with a few bytes changed, cut out or added; of archives, within their parts as well."""
    dice = random.Random(20250602)
    for name, content in valid_files().items():
        for number in range(FLIPS // len(valid_files()) + 1):
            inside = name.endswith(("docx", "pptx", "xlsx")) and number % 4
            yield f"{number}-{name}", (_flip_inside if inside else _flip)(content, dice)


def _flip(content: bytes, dice: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(len(changed))
        new = dice.randbytes(dice.choice((1, 1, 1, 3, 0)))
        changed[at : at + dice.choice((1, 1, 1, 0, 5))] = new
    return bytes(changed)


def _flip_inside(content: bytes, dice: random.Random) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        name = dice.choice(
            [name for name in archive.namelist() if name.endswith((".xml", ".rels"))]
        )
        part = archive.read(name)
    return with_part(content, name, _flip(part, dice))


@pytest.mark.thorough
def test_good_files_with_a_few_bytes_changed_are_read_or_refused(
    parser: Parser, tmp_path: Path
) -> None:
    fates = []
    for name, content in flipped():
        path = tmp_path / name
        path.write_bytes(content)
        fates.append(fate_of(parser, path))
    assert len(fates) >= FLIPS
    assert READ in fates
    assert len(set(fates)) > 5
    assert not [fate for fate in fates if not fate or len(fate) > 500]
