"""Knowledge's commands: `ingest`, and `indexer`, which the supervisor runs."""

import sys
from pathlib import Path

import click
from rich.console import Console

from tool_server import logs, wake
from tool_server.errors import ApiError
from tool_server.knowledge.index import IndexBusy
from tool_server.knowledge.ingest import Report, report_of, run_here
from tool_server.knowledge.jobs import indexer as process
from tool_server.knowledge.jobs import pages, watch
from tool_server.knowledge.jobs.job import Request, check_base
from tool_server.knowledge.jobs.queue import Jobs, NewItem, owners_of
from tool_server.knowledge.jobs.scan import absolute
from tool_server.knowledge.repair import INDEXER
from tool_server.knowledge.search import Knowledge
from tool_server.migrate import migrate
from tool_server.owner import one_lives
from tool_server.settings import load


@click.command()
@click.option("--base", required=True, help="Name of the knowledge base.")
@click.option(
    "--delete/--no-delete", default=True, help="Take back what has vanished from a folder."
)
@click.option("--force", is_flag=True, help="However much has vanished.")
@click.option(
    "--urls",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A file of web addresses, one a line, to fetch.",
)
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
def ingest(
    base: str, paths: tuple[Path, ...], *, delete: bool, force: bool, urls: Path | None
) -> None:
    """Read PATHS (files and folders) into a knowledge base, as a job.

    A file that has not changed is left alone, one that has moved keeps its passages. A file that cannot be read is
    named with the reason; the others are taken all the same, and the exit code is 1. Ctrl-C cancels the job.
    """
    if bool(paths) == bool(urls):
        raise click.UsageError("Give either PATHS or --urls.")
    settings = load()
    logs.configure(settings, "ingest")
    migrate(settings)
    knowledge = Knowledge.open(settings)
    jobs = Jobs(settings, knowledge.catalogue.database)
    try:
        check_base(base)
        jobs.take_over()
        if urls:
            lines = urls.read_text(encoding="utf-8").split()
            found = [NewItem(url, url) for url in pages.check_urls(settings, lines)]
            number = jobs.enqueue(base, "urls", Request(), found)
        else:
            request = Request(paths=tuple(map(absolute, paths)), delete=delete, force=force)
            number = jobs.enqueue(base, "folders", request)
        report = _work(knowledge, jobs, number)
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


def _work(knowledge: Knowledge, jobs: Jobs, number: int) -> Report:
    """Let the indexer do the job, or do it here where none runs; shown while it goes on."""
    settings = knowledge.settings
    if one_lives(owners_of(settings), INDEXER):
        wake.ring(settings.run_dir, INDEXER)
        job = watch.follow(jobs, number, Console(stderr=True))
    else:
        job = watch.follow(
            jobs, number, Console(stderr=True), lambda: run_here(knowledge, jobs, number)
        )
    return report_of(jobs, job)


def _show(report: Report, base: str) -> None:
    """What became of it, and the exit code: 1 where anything was refused."""
    gone = f", {report.withdrawn} withdrawn" if report.withdrawn else ""
    if report.failed:
        click.echo(f"failed: {report.failed}", err=True)
    click.echo(
        f"{base}: {report.files} files, {report.documents} documents,"
        f" {report.changed} new or changed{gone}"
    )
    if report.state == "cancelled":
        click.echo("cancelled; the same call goes on where it was", err=True)
    sys.exit(0 if report.state == "done" and not report.refused else 1)


@click.command()
def indexer() -> None:
    """Run the indexer alone: it takes jobs of ingestion one after the other."""
    settings = load()
    migrate(settings)
    process.main(settings)
