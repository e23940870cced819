"""What a person sees of an answer while it grows; made per message by `worker`, written to by `compose`."""

import time
from typing import Protocol

from tool_server.channel.work import Job, Work

# The platform looks about once a second.
SHOWN_EVERY_S = 0.3


class Screen(Protocol):
    """One message's growing answer. Calls are cheap: whoever shows it decides how often."""

    def show(self, text: str, *, progress: str) -> None:
        """The answer so far, cumulative and without reasoning; `progress` says what is done while it is empty."""


class NoScreen:
    """For surfaces that show whole answers only."""

    def show(self, text: str, *, progress: str) -> None:
        """Nothing is seen before the end."""


class LedgerScreen:
    """For streams that the platform comes to fetch: the ledger holds what the next refresh shows."""

    def __init__(self, work: Work, job: Job) -> None:
        self._work = work
        self._job = job
        self._next_at = 0.0

    def show(self, text: str, *, progress: str) -> None:
        """Stored a few times a second; the last state before the end may be missing, the answer follows at once."""
        now = time.monotonic()
        if now >= self._next_at and (shown := text or progress):
            self._next_at = now + SHOWN_EVERY_S
            self._work.show(self._job, shown)
