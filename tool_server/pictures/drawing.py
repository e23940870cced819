"""Pictures for the routes: drawn by a child process, a few at a time; what goes wrong becomes a sentence."""

import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram

from tool_server.errors import ApiError, BadRequest, Busy, Unavailable
from tool_server.pictures.marks import Units
from tool_server.pictures.wire import (
    Annotate,
    Answered,
    Asked,
    Drawn,
    Refused,
    Render,
    framed,
    split_files,
)
from tool_server.settings import Settings

log = structlog.get_logger()

RETRY_S = 2
FAILED = "This cannot be drawn: it takes too long or too much memory, or its file is damaged."


@dataclass(frozen=True)
class Files:
    """What was drawn: files of one type; `truncated` says that the text went on."""

    mime: str
    files: list[bytes]
    truncated: bool


class Drawing:
    """Draws; `pictures_at_once` of the settings bounds how many at a time."""

    def __init__(self, settings: Settings, registry: CollectorRegistry) -> None:
        self._settings = settings
        self._places = threading.BoundedSemaphore(settings.pictures_at_once)
        self._drawn = Counter(
            "shenqiao_pictures_total",
            "Pictures by kind (annotate, render) and by what became of them: drawn, refused, failed, busy.",
            ["kind", "result"],
            registry=registry,
        )
        self._seconds = Histogram(
            "shenqiao_pictures_seconds",
            "Seconds that drawing took, the start of its process included.",
            buckets=(0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0),
            registry=registry,
        )

    def annotate(self, picture: bytes, marks: str, units: Units) -> Files:
        """A picture with marks (JSON). Raises `BadRequest`, `Busy`, `Unavailable`."""
        settings = self._settings
        asked = Annotate(
            marks=marks,
            units=units,
            font=settings.font,
            pixels=settings.pictures_pixels,
            side=settings.pictures_side,
        )
        return self._draw(asked, picture)

    def render(self, text: str, title: str) -> Files:
        """A text as pages. Raises `BadRequest`, `Busy`, `Unavailable`."""
        settings = self._settings
        asked = Render(
            text=text,
            title=title,
            font=settings.font,
            pages=settings.pictures_pages,
            characters=settings.pictures_characters,
        )
        return self._draw(asked, b"")

    def _draw(self, asked: Annotate | Render, picture: bytes) -> Files:
        if not self._places.acquire(blocking=False):
            self._count(asked, "busy")
            raise Busy("Other pictures are being drawn.", retry_after=RETRY_S)
        started = time.monotonic()
        try:
            answer, files = _read(self._run(asked, picture))
        finally:
            self._places.release()
            self._seconds.observe(time.monotonic() - started)
        if isinstance(answer, Refused):
            self._count(asked, "failed" if answer.away else "refused")
            raise _error(answer)
        if answer is None:
            self._count(asked, "failed")
            log.warning("picture.failed", kind=asked.job, size=len(picture))
            raise BadRequest(FAILED, param="picture" if picture else "text")
        self._count(asked, "drawn")
        return Files(answer.mime, files, answer.truncated)

    def _run(self, asked: Annotate | Render, picture: bytes) -> bytes:
        """What the child wrote; nothing where it was too slow or died."""
        seconds = self._settings.pictures_seconds
        memory_mb = self._settings.pictures_memory_mb
        command = [sys.executable, "-P", "-m", "tool_server.pictures.child"]
        try:
            done = subprocess.run(
                [*command, str(memory_mb), str(seconds)],
                input=framed(Asked(asked=asked), picture),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                # No part of our environment: it holds secrets, and the child needs none of it.
                env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "LANG": "C.UTF-8"},
                timeout=2 * seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return b""
        return done.stdout if done.returncode == 0 else b""

    def _count(self, asked: Annotate | Render, result: str) -> None:
        self._drawn.labels(asked.job, result).inc()


def _read(written: bytes) -> tuple[Drawn | Refused | None, list[bytes]]:
    """The child's answer with its files; None for what is none."""
    head, _, data = written.partition(b"\n")
    try:
        answer = Answered.model_validate_json(head).answered
        return answer, split_files(data, answer.sizes) if isinstance(answer, Drawn) else []
    except ValueError:
        return None, []


def _error(answer: Refused) -> ApiError:
    if answer.away:
        return Unavailable(answer.message)
    return BadRequest(answer.message, param=answer.field)
