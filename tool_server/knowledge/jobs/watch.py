"""A job on a terminal: bars for all files and for the one that is being read; elsewhere a line for each file."""

import threading
import time
from collections.abc import Callable
from typing import Protocol

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from tool_server.knowledge.jobs.job import Job
from tool_server.knowledge.jobs.queue import Jobs

LOOK_S = 0.1
SETTLED = ("indexed", "moved", "withdrawn", "refused")


class View(Protocol):
    """What shows a job as it goes on."""

    def show(self, job: Job) -> None: ...

    def say(self, line: str) -> None: ...


def follow(
    jobs: Jobs, number: int, console: Console, work: Callable[[], None] | None = None
) -> Job:
    """Show a job until it has ended; `work`, where given, does it in a thread meanwhile, and what it raises is raised.

    Ctrl-C asks to cancel it, and goes on until it is.
    """
    if not console.is_terminal:
        return _Follower(jobs, number, _Lines(), work).run()
    columns = (BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        return _Follower(jobs, number, _Bars(progress), work).run()


class _Follower:
    """Looks at the job ten times a second."""

    def __init__(
        self, jobs: Jobs, number: int, view: View, work: Callable[[], None] | None
    ) -> None:
        self._jobs = jobs
        self._number = number
        self._view = view
        self._work = work
        self._seen = 0
        self._error: BaseException | None = None

    def run(self) -> Job:
        worker = None
        if self._work is not None:
            worker = threading.Thread(target=self._do, name="job")
            worker.start()
        try:
            job = self._watch(worker)
        except KeyboardInterrupt:
            self._jobs.cancel(self._number)
            job = self._watch(worker)
        if worker is not None:
            worker.join()
        if self._error is not None:
            raise self._error
        return job

    def _do(self) -> None:
        assert self._work is not None
        try:
            self._work()
        except BaseException as error:  # raised where the thread was started
            self._error = error

    def _watch(self, worker: threading.Thread | None) -> Job:
        while True:
            job = self._jobs.get(self._number)
            over = job.ended or self._error is not None
            self._tell()
            self._view.show(job)
            if over:
                return job
            if worker is not None:
                worker.join(LOOK_S)
            else:
                time.sleep(LOOK_S)

    def _tell(self) -> None:
        """A line for each file that something became of, in their order."""
        while items := self._jobs.items(self._number, after=self._seen, limit=500):
            for item in items:
                if item.state == "waiting":
                    return
                self._seen = item.id
                if item.state == "refused":
                    self._view.say(f"refused {item.location}: {item.reason}")
                elif item.state in SETTLED:
                    self._view.say(f"{item.state} {item.name}, {item.documents} documents")


class _Lines:
    """Elsewhere than on a terminal: what became of each file."""

    def show(self, job: Job) -> None:
        """Lines are enough."""

    def say(self, line: str) -> None:
        click.echo(line, err=True)


class _Bars:
    """On a terminal: two bars, and what was refused."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._all = progress.add_task("", total=None)
        self._one = progress.add_task("", total=None)

    def show(self, job: Job) -> None:
        rate = f", {job.passages_per_s:.0f} passages/s" if job.passages_per_s else ""
        left = "" if job.eta_s is None else f", {job.eta_s:.0f} s left"
        about = f"{job.files_done} of {job.files_total} files, {job.passages} passages{rate}{left}"
        state = f" ({job.reason})" if job.state == "queued" and job.reason else ""
        self._progress.update(
            self._all,
            total=job.bytes_total or None,
            completed=job.bytes_done,
            description=f"{job.state}{state}: {about}",
        )
        self._progress.update(self._one, description=f"{job.stage} {job.current}")

    def say(self, line: str) -> None:
        if line.startswith("refused"):
            self._progress.console.print(line, markup=False, highlight=False)
