"""The command `index`: how far the index is, and making it anew; for both engines."""

from collections.abc import Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tool_server import logs
from tool_server.errors import ApiError
from tool_server.knowledge.index import IndexBusy
from tool_server.knowledge.search import Knowledge
from tool_server.migrate import migrate
from tool_server.settings import load

WAIT_S = 3.0


@click.group()
def index() -> None:
    """Look at the index of the knowledge bases, or make it anew."""


@index.command()
def status() -> None:
    """Say whether the index holds all that the catalogue holds; if not, the exit code is 1."""
    with _knowledge() as knowledge:
        changes, passages = knowledge.catalogue.sequence(), knowledge.catalogue.passage_count()
        applied = knowledge.index.applied()
        held = knowledge.index.passage_count()
        click.echo(f"engine     {knowledge.settings.knowledge_backend}")
        click.echo(f"passages   {held} of {passages}")
        click.echo(f"changes    {max(applied, 0)} of {changes}")
        if max(applied, 0) == changes and held == passages:
            click.echo("complete")
            return
        missing = "missing" if applied < 0 else "behind"
        click.echo(f"{missing}; the next search or ingest mends it, or `shenqiao index rebuild`")
        raise SystemExit(1)


@index.command()
def rebuild() -> None:
    """Make the index anew from the catalogue; searches have the old one until the new one is complete."""
    with _knowledge() as knowledge, _bar(Console(stderr=True)) as show:
        knowledge.index.rebuild(knowledge.catalogue, show, wait_s=WAIT_S)
        passages = knowledge.index.passage_count()
    click.echo(f"rebuilt: {passages} passages")


@contextmanager
def _knowledge() -> Iterator[Knowledge]:
    settings = load()
    logs.configure(settings, "index")
    migrate(settings)
    knowledge = Knowledge.open(settings)
    try:
        yield knowledge
    except ApiError as error:
        raise click.ClickException(error.message) from None
    except IndexBusy as error:
        raise click.ClickException(f"{error} Try again when it has finished.") from None
    finally:
        knowledge.index.close()
        knowledge.catalogue.close()


@contextmanager
def _bar(console: Console) -> Iterator["_Bar"]:
    """A bar on a terminal, a line for each tenth elsewhere."""
    columns = (TextColumn("documents"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bars:
        yield _Bar(bars, quiet=console.is_terminal)


class _Bar:
    def __init__(self, bars: Progress, *, quiet: bool) -> None:
        self._bars, self._quiet = bars, quiet
        self._task = bars.add_task("", total=None)
        self._said = 0

    def __call__(self, done: int, total: int) -> None:
        self._bars.update(self._task, completed=done, total=total)
        tenth = done * 10 // max(total, 1)
        if not self._quiet and tenth > self._said:
            self._said = tenth
            click.echo(f"{done} of {total} documents", err=True)
