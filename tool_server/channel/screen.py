"""What a person sees of an answer while it grows; made per message by `worker`, written to by `ask`."""

import threading
import time
from collections.abc import Callable
from typing import Protocol

import structlog

from tool_server.channel.answer import partial
from tool_server.channel.job import Job
from tool_server.channel.split import fit
from tool_server.channel.work import Work

log = structlog.get_logger()

# The platform looks about once a second.
SHOWN_EVERY_S = 0.3
# A progress line begins so; the first text takes its place.
PROGRESS_MARK = "⏳"
# A first piece is at least half of what fits (`split`): what is shown while it grows stays below that.
SHOWN_BYTES = 10_000


class Screen(Protocol):
    """One message's growing answer. Calls are cheap: whoever shows it decides how often."""

    @property
    def shown(self) -> str:
        """What people may have seen of the answer already; a progress line is none."""

    def show(self, text: str, *, progress: str) -> None:
        """The app's text so far, raw and cumulative; `progress` says what is done while there is none."""


class NoScreen:
    """For surfaces that show whole answers only."""

    shown = ""

    def show(self, text: str, *, progress: str) -> None:
        """Nothing is seen before the end."""


def ending(shown: str, text: str) -> str:
    """A sentence of ours at the end of a stream: below the half answer that people see already, not instead of it."""
    return f"{shown}\n\n{text}" if shown else text


class LedgerScreen:
    """For streams that the platform comes to fetch: the ledger holds what the next refresh shows.

    `shown` only grows, also over a worker's death: a new run that says something else is seen with its end.
    """

    def __init__(self, job: Job, hurry: Callable[[], None]) -> None:
        self.job = job
        self.shown = "" if is_progress(job.stream) else job.stream
        self._hurry = hurry
        self._text = self._read = ""
        self._progress = ""
        self.stored = job.stream

    def show(self, text: str, *, progress: str) -> None:
        """Kept in memory. The first text and each step before it go to the ledger at once, the rest in its turn."""
        first = bool(text) and not self._text and not self.shown
        step = progress != self._progress and not text
        self._text, self._progress = text, progress
        if first or step:
            self._hurry()

    def change(self) -> str:
        """What is to be stored now; empty when that is stored already."""
        if self._text != self._read:  # to read markdown costs milliseconds
            self._read = self._text
            text = fit(partial(self._read), SHOWN_BYTES)
            self.shown = text if text.startswith(self.shown) else self.shown
        wanted = self.shown or (f"{PROGRESS_MARK} {self._progress}…" if self._progress else "")
        return "" if wanted == self.stored else wanted


class Screens:
    """All ledger screens of one worker: one thread writes what has changed in one transaction."""

    def __init__(
        self, work: Work, first_text: Callable[[float], None], *, every_s: float = SHOWN_EVERY_S
    ) -> None:
        self._work = work
        self._every_s = every_s
        self._first_text = first_text  # told the seconds from a message's arrival to its first text
        self._open: dict[int, LedgerScreen] = {}
        self._lock = threading.Lock()
        self._hurried = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="screens", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._closed = True
        self._hurried.set()
        self._thread.join()

    def open(self, job: Job) -> LedgerScreen:
        """The screen of a message that is worked on; `done` takes it away."""
        screen = LedgerScreen(job, self._hurried.set)
        with self._lock:
            self._open[job.id] = screen
        return screen

    def done(self, job: Job) -> None:
        with self._lock:
            self._open.pop(job.id, None)

    def count(self) -> int:
        return len(self._open)

    def paint(self) -> None:
        """Write down what all streams show by now."""
        with self._lock:
            screens = list(self._open.values())
        changes = [(screen, content) for screen in screens if (content := screen.change())]
        if changes:
            self._work.show_all([(screen.job, content) for screen, content in changes])
        for screen, content in changes:
            if is_progress(screen.stored or PROGRESS_MARK) and not is_progress(content):
                self._first_text(time.time() - screen.job.received_at)
            screen.stored = content

    def _run(self) -> None:
        while not self._closed:
            self._hurried.wait(self._every_s)
            self._hurried.clear()
            try:
                self.paint()
            except (
                Exception
            ) as error:  # the next round shows more; the answer itself is stored elsewhere
                log.error("screen.fault", exc_info=error)


def is_progress(content: str) -> bool:
    """Whether a stream shows no text yet."""
    return content.startswith(PROGRESS_MARK)
