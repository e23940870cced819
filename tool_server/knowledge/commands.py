"""Knowledge's command: `ingest`."""

import sys
from pathlib import Path

import click
from rich.console import Console

from tool_server import logs
from tool_server.errors import ApiError
from tool_server.knowledge.index import IndexBusy
from tool_server.knowledge.ingest import Report
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
    console = Console()
    try:
        with console.status("") as status:
            report = run(knowledge, base, paths, lambda path: status.update(f"reading {path.name}"))
    except ApiError as error:
        raise click.ClickException(error.message) from None
    except IndexBusy as error:
        raise click.ClickException(
            f"{error} The documents are stored; the search finds them when it has finished."
        ) from None
    finally:
        knowledge.catalogue.close()
    _show(report, base)
    sys.exit(1 if report.refused else 0)


def _show(report: Report, base: str) -> None:
    for path, reason in report.refused:
        click.echo(f"refused {path}: {reason}", err=True)
    click.echo(
        f"{base}: {report.files} files, {report.documents} documents, {report.changed} new or changed"
    )


COMMANDS = (ingest,)
