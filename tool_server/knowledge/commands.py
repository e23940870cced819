"""Knowledge's command: `ingest`."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from tool_server import logs
from tool_server.errors import ApiError
from tool_server.knowledge.index import IndexBusy
from tool_server.knowledge.ingest import Report, Step
from tool_server.knowledge.ingest import ingest as run
from tool_server.knowledge.search import Knowledge
from tool_server.migrate import migrate
from tool_server.settings import load


@click.command()
@click.option("--base", required=True, help="Name of the knowledge base.")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
def ingest(base: str, paths: tuple[Path, ...]) -> None:
    """Read PATHS (files and folders of .md, .txt, .jsonl) into a knowledge base.

    A file that has not changed is left alone. A file that cannot be read is named with the reason; the others are
    taken all the same, and the exit code is 1.
    """
    settings = load()
    logs.configure(settings, "ingest")
    migrate(settings)
    knowledge = Knowledge.open(settings)
    try:
        with _progress(Console(stderr=True)) as progress:
            report = run(knowledge, base, paths, progress)
    except ApiError as error:
        raise click.ClickException(error.message) from None
    except IndexBusy:
        raise click.ClickException(
            "Another process writes the index: an ingest, or a repair after one was killed."
            " Nothing was read; try again when it has finished."
        ) from None
    finally:
        knowledge.catalogue.close()
    _show(report, base)
    sys.exit(1 if report.refused else 0)


@contextmanager
def _progress(console: Console) -> Iterator[Callable[[Step], None]]:
    """A bar on a terminal; elsewhere a line for each file."""
    if not console.is_terminal:
        yield _Lines()
        return
    columns = (BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        bar = bars.add_task("", total=None)

        def show(step: Step) -> None:
            about = f"{step.number} of {step.files}: {_name(step)}, {step.documents} documents"
            bars.update(bar, total=step.files, completed=step.number - 1, description=about)

        yield show


class _Lines:
    """Says each file once, however many batches it has."""

    def __init__(self) -> None:
        self._said = 0

    def __call__(self, step: Step) -> None:
        if step.number > self._said:
            self._said = step.number
            click.echo(f"reading {_name(step)} ({step.number} of {step.files})", err=True)


def _name(step: Step) -> str:
    return click.format_filename(step.path.name)


def _show(report: Report, base: str) -> None:
    for path, reason in report.refused:
        click.echo(f"refused {click.format_filename(path)}: {reason}", err=True)
    gone = f", {report.withdrawn} withdrawn" if report.withdrawn else ""
    click.echo(
        f"{base}: {report.files} files, {report.documents} documents,"
        f" {report.changed} new or changed{gone}"
    )
