"""The process that reads strangers' files, with little memory and time; started by `process.Child`.

Reads frames with `Read` on stdin, writes `Documents`, `Finished`, `Refused` on stdout. Ends with its parent.
"""

import contextlib
import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from tool_server.knowledge.document import Document
from tool_server.knowledge.parse.read import read
from tool_server.knowledge.parse.unreadable import Unreadable
from tool_server.knowledge.parse.wire import (
    LENGTH,
    OUT_OF_MEMORY,
    Documents,
    Finished,
    Read,
    Refused,
    decode_read,
    encode,
)
from tool_server.parent import follow_parent

MB = 1024 * 1024
BATCH_DOCUMENTS = 256
BATCH_CHARACTERS = 256 * 1024


def main(memory_mb: int) -> None:
    """Read files until the parent closes the pipe."""
    follow_parent()
    answers = _take_stdout()
    _limit(memory_mb)
    _send(Finished(), answers)
    asked = sys.stdin.buffer
    while head := asked.read(LENGTH.size):
        (length,) = LENGTH.unpack(head)
        message = decode_read(asked.read(length))
        _limit_time(message.limits.parse_s)
        _answer(message, answers)


def _take_stdout() -> BinaryIO:
    """The pipe for ourselves; what a library prints goes nowhere."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return answers


def _limit(memory_mb: int) -> None:
    """Little memory, no files written, no core dumps; the first to go where the machine's memory ends."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    size = memory_mb * MB
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _limit_time(seconds: int) -> None:
    """Processor time for the next file; for the case that nobody watches the clock."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime) + seconds + 1
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def _answer(message: Read, answers: BinaryIO) -> None:
    path = Path(os.fsdecode(bytes.fromhex(message.path)))
    last: Finished | Refused = Finished()
    try:
        for batch in _batches(read(path, message.source_id, message.limits)):
            answers.write(encode(Documents(batch)))
    except Unreadable as error:
        last = Refused(str(error))
    except OSError as error:
        last = Refused(f"it cannot be opened: {error.strerror or type(error).__name__}")
    except MemoryError:
        sys.exit(OUT_OF_MEMORY)
    except RecursionError:
        last = Refused("it is nested too deep")
    except Exception as error:  # parsers of strangers' files raise anything
        last = Refused(f"it is damaged ({type(error).__name__})")
    _send(last, answers)


def _send(answer: Finished | Refused, answers: BinaryIO) -> None:
    answers.write(encode(answer))
    answers.flush()


def _batches(documents: Iterator[Document]) -> Iterator[tuple[Document, ...]]:
    """Many small documents in one message, large ones alone."""
    batch: list[Document] = []
    characters = 0
    for document in documents:
        batch.append(document)
        characters += sum(len(section.text) for section in document.sections)
        if len(batch) >= BATCH_DOCUMENTS or characters >= BATCH_CHARACTERS:
            yield tuple(batch)
            batch.clear()
            characters = 0
    if batch:
        yield tuple(batch)


if __name__ == "__main__":
    main(int(sys.argv[1]))
