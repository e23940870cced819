"""The process that draws one picture, with little memory and time; started by `drawing`, ends with its parent.

Strangers' pictures are read by old C code, and a text may be made to be slow: what crashes or swells here costs one
request. Reads a `wire.Asked` and a picture on stdin, writes a `wire.Answered` and files on stdout.
"""

import contextlib
import os
import resource
import sys
from pathlib import Path
from typing import BinaryIO

from tool_server.errors import BadRequest
from tool_server.parent import follow_parent
from tool_server.pictures import annotate, font, marks, sheet
from tool_server.pictures.wire import Annotate, Answered, Asked, Drawn, Refused, Render, framed

MB = 1024 * 1024
TOO_MUCH = "It takes more memory than one picture may have: send a smaller one."


def main(memory_mb: int, seconds: int) -> None:
    """Limits, one drawing, one answer."""
    follow_parent()
    answers = _take_stdout()
    _limit(memory_mb, seconds)
    head, _, data = sys.stdin.buffer.read().partition(b"\n")
    answers.write(_answer(Asked.model_validate_json(head).asked, data))
    answers.flush()


def _answer(asked: Annotate | Render, data: bytes) -> bytes:
    try:
        fonts = font.find(asked.font)
        if isinstance(asked, Render):
            return _rendered(asked, fonts)
        return _annotated(asked, data, fonts)
    except BadRequest as error:
        return framed(Answered(answered=Refused(message=error.message, field=error.param)))
    except font.NoFont as error:
        return framed(Answered(answered=Refused(message=str(error), away=True)))
    except MemoryError:
        return framed(Answered(answered=Refused(message=TOO_MUCH, field="picture")))


def _rendered(asked: Render, fonts: font.Fonts) -> bytes:
    done = sheet.render(
        asked.text, fonts, title=asked.title, pages=asked.pages, characters=asked.characters
    )
    sizes = tuple(map(len, done.pages))
    drawn = Drawn(mime="image/png", sizes=sizes, truncated=done.truncated)
    return framed(Answered(answered=drawn), *done.pages)


def _annotated(asked: Annotate, data: bytes, fonts: font.Fonts) -> bytes:
    wanted = marks.read_marks(asked.marks)
    done = annotate.annotate(data, wanted, asked.units, fonts, pixels=asked.pixels, side=asked.side)
    return framed(Answered(answered=Drawn(mime=done.mime, sizes=(len(done.data),))), done.data)


def _take_stdout() -> BinaryIO:
    """The pipe for ourselves; what a library prints goes nowhere."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return answers


def _limit(memory_mb: int, seconds: int) -> None:
    """Little memory, no files written, no core dumps; the first to go where the machine's memory ends."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    resource.setrlimit(resource.RLIMIT_AS, (memory_mb * MB, memory_mb * MB))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
