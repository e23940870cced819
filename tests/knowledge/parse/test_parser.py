"""The parser's process: what it may use, what happens when it dies, what is believed of its answers."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from openpyxl.worksheet.worksheet import Worksheet

from tests.knowledge.parse.files import with_part, workbook
from tool_server.knowledge.document import Document, Section
from tool_server.knowledge.parse import Parser, Unreadable
from tool_server.knowledge.parse.check import Checked
from tool_server.knowledge.parse.limits import Limits
from tool_server.knowledge.parse.wire import (
    Documents,
    Finished,
    Refused,
    WireError,
    decode_answer,
    encode,
)
from tool_server.settings import Settings


@contextmanager
def parser_of(settings: Settings, **changes: int) -> Iterator[Parser]:
    with Parser(settings.model_copy(update=changes)) as parser:
        yield parser


def children() -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process().children()
        if "tool_server.knowledge.parse.child" in " ".join(child.cmdline())
    ]


def many(folder: Path, count: int) -> Path:
    path = folder / "many.jsonl"
    with path.open("w") as lines:
        for number in range(count):
            lines.write(json.dumps({"id": number, "text": f"text of {number} " * 10}) + "\n")
    return path


def _sheets(first: Worksheet) -> None:
    assert first.parent is not None
    for _ in range(29):
        first.parent.create_sheet()


def apple(parser: Parser, folder: Path) -> str:
    path = folder / "apple.txt"
    path.write_text("apple")
    (document,) = parser.documents(path, "apple.txt")
    return document.sections[0].text


def test_many_documents_come_in_their_order_and_all(reading: Settings, tmp_path: Path) -> None:
    with parser_of(reading) as parser:
        ids = [document.source_id for document in parser.documents(many(tmp_path, 3000), "m")]
    assert ids == [f"m#{number}" for number in range(3000)]


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGABRT])
def test_a_crash_in_the_middle_costs_that_file_only(
    reading: Settings, tmp_path: Path, number: signal.Signals
) -> None:
    with parser_of(reading) as parser:
        before = set(children())
        documents = parser.documents(many(tmp_path, 20_000), "m")
        next(documents)
        (child,) = set(children()) - before
        child.send_signal(number)
        with pytest.raises(Unreadable, match=f"crashed \\({number.name}\\)"):
            list(documents)
        assert apple(parser, tmp_path) == "apple"


def test_a_file_that_takes_too_long_is_named_and_the_next_is_read(
    reading: Settings, tmp_path: Path
) -> None:
    # Each of these sheets says that its only row is the last one that there can be.
    sheet = (
        b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
        b'<row r="1048576"><c><v>1</v></c></row></sheetData></worksheet>'
    )
    path = tmp_path / "slow.xlsx"
    path.write_bytes(workbook(_sheets))
    for number in range(1, 31):
        path.write_bytes(with_part(path.read_bytes(), f"xl/worksheets/sheet{number}.xml", sheet))
    with parser_of(reading, knowledge_parse_s=3) as parser:
        began = time.monotonic()
        with pytest.raises(Unreadable, match="more than 3 s"):
            list(parser.documents(path, "slow.xlsx"))
        assert time.monotonic() - began < 25
        assert apple(parser, tmp_path) == "apple"


def test_a_file_that_needs_too_much_memory_is_named_and_the_next_is_read(
    reading: Settings, tmp_path: Path
) -> None:
    (tmp_path / "large.json").write_bytes(b"[" + b"[]," * 10_000_000 + b"[]]")
    with parser_of(reading) as parser:
        with pytest.raises(Unreadable, match="more than 512 MB of memory"):
            list(parser.documents(tmp_path / "large.json", "large.json"))
        assert apple(parser, tmp_path) == "apple"


def test_the_time_of_whoever_takes_the_documents_is_not_the_parsers(
    reading: Settings, tmp_path: Path
) -> None:
    with parser_of(reading, knowledge_parse_s=3) as parser:
        documents = parser.documents(many(tmp_path, 5000), "m")
        next(documents)
        time.sleep(3.5)
        assert sum(1 for _ in documents) == 4999


def test_a_file_that_is_left_in_the_middle_does_not_disturb_the_next(
    reading: Settings, tmp_path: Path
) -> None:
    with parser_of(reading) as parser:
        documents = parser.documents(many(tmp_path, 20_000), "m")
        next(documents)
        documents.close()  # type: ignore[attr-defined]  # it is a generator
        assert apple(parser, tmp_path) == "apple"


def test_a_process_is_used_again_and_replaced_after_some_files(
    reading: Settings, tmp_path: Path
) -> None:
    before = set(children())
    seen = []
    with parser_of(reading, knowledge_parse_files=2) as parser:
        for _ in range(4):
            apple(parser, tmp_path)
            seen += [child.pid for child in set(children()) - before]
    assert seen[0] == seen[1] != seen[2] == seen[3]
    assert set(children()) == before


def test_the_process_knows_nothing_of_our_environment_and_can_write_nothing(
    reading: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHENQIAO_SECRET", "hidden")
    before = set(children())
    with parser_of(reading) as parser:
        apple(parser, tmp_path)
        (child,) = set(children()) - before
        assert set(child.environ()) <= {"PYTHONPATH", "LANG", "LC_CTYPE"}
        limits = Path(f"/proc/{child.pid}/limits").read_text().split("\n")
    bounds = {line[:26].strip(): line[26:].split()[0] for line in limits if line}
    assert bounds["Max address space"] == str(512 * 1024 * 1024)
    assert bounds["Max file size"] == bounds["Max core file size"] == "0"
    assert bounds["Max cpu time"].isdigit()


def test_the_process_ends_with_its_parent(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("apple")
    program = (
        "import sys, time, psutil; from pathlib import Path\n"
        "from tool_server.settings import load; from tool_server.knowledge.parse import Parser\n"
        "folder = Path(sys.argv[1])\n"
        "parser = Parser(load({'SHENQIAO_DATA_DIR': str(folder), 'SHENQIAO_MODEL_ENABLED': 'false'}))\n"
        "list(parser.documents(folder / 'a.txt', 'a'))\n"
        "print(psutil.Process().children()[0].pid, flush=True); time.sleep(60)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, env=environment
    ) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    child.wait(90)


DOCUMENT = Document("a.txt", "a", (Section("", "text"),))


@pytest.mark.parametrize(
    "document",
    [
        replace(DOCUMENT, source_id="b.txt"),
        replace(DOCUMENT, source_id="a.txt.other"),
        replace(DOCUMENT, source_id="a.txt#" + "x" * 3000),
        replace(DOCUMENT, title=""),
        replace(DOCUMENT, title="x" * 501),
        replace(DOCUMENT, sections=()),
        replace(DOCUMENT, sections=(Section("x" * 1001, "text"),)),
        replace(DOCUMENT, sections=(Section("", "text", 0),)),
        replace(DOCUMENT, sections=(Section("", "x" * 20_000_001),)),
        replace(DOCUMENT, url="x" * 1001),
        replace(DOCUMENT, metadata={"k" * 65: "x"}),
        replace(DOCUMENT, metadata={"k": "x" * 1001}),
        replace(DOCUMENT, metadata={str(number): "x" for number in range(41)}),
        replace(DOCUMENT, access=("*",)),
        replace(DOCUMENT, access=("inherited",)),
    ],
    ids=range(15),
)
def test_a_document_that_no_format_makes_is_not_believed(
    reading: Settings, document: Document
) -> None:
    with pytest.raises(WireError):
        Checked("a.txt", Limits.of(reading)).take(document)


def test_a_document_is_believed_once(reading: Settings) -> None:
    checked = Checked("a.txt", Limits.of(reading))
    checked.take(DOCUMENT)
    with pytest.raises(WireError):
        checked.take(DOCUMENT)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"kind":"other"}',
        b'{"kind":"finished","more":1}',
        b'{"kind":"documents","documents":[{"source_id":1}]}',
        b'{"kind":"documents","documents":[{"source_id":"a","title":"b","sections":[["x"]]}]}',
        b"\xff" * 10,
    ],
)
def test_what_is_no_message_is_not_believed(body: bytes) -> None:
    with pytest.raises(WireError):
        decode_answer(body)


@pytest.mark.parametrize(
    "answer",
    [
        Documents((replace(DOCUMENT, metadata={"n": 1.0, "s": "2"}, access=("public",)),)),
        Finished(),
        Refused("it is empty"),
    ],
)
def test_an_answer_crosses_the_pipe_as_it_is(answer: Documents | Finished | Refused) -> None:
    assert decode_answer(encode(answer)[4:]) == answer
