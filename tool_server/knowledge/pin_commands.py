"""The command `shenqiao pins`: import questions with their answers from a file."""

import sys
from pathlib import Path

import click

from tool_server import logs
from tool_server.errors import ApiError
from tool_server.knowledge.catalogue import Catalogue
from tool_server.knowledge.pins_import import Report, import_pins
from tool_server.migrate import migrate
from tool_server.settings import load


@click.group()
def pins() -> None:
    """Questions whose answer somebody wrote: it comes before whatever a search finds."""


@pins.command("import")
@click.option("--base", required=True, help="Name of the knowledge base.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def from_file(base: str, file: Path) -> None:
    """Take the rows of FILE, a CSV file with the columns question, answer and, if wanted, url.

    A question that is pinned already gets the new answer. A row that is wrong is named; the others are taken all the
    same, and the exit code is 1.
    """
    settings = load()
    logs.configure(settings, "pins")
    migrate(settings)
    catalogue = Catalogue.open(settings)
    try:
        report = import_pins(
            catalogue.pins,
            base,
            _content(file, settings.knowledge_file_limit),
            limit=settings.knowledge_pins,
        )
    except ApiError as error:
        raise click.ClickException(error.message) from None
    finally:
        catalogue.close()
    _show(report, base)
    sys.exit(1 if report.refused else 0)


def _content(file: Path, limit: int) -> bytes:
    if file.stat().st_size > limit:
        raise click.ClickException(f"{file.name} has more than {limit} bytes.")
    return file.read_bytes()


def _show(report: Report, base: str) -> None:
    for error in report.errors:
        click.echo(f"row {error.row}: {error.reason}", err=True)
    click.echo(f"{base}: {report.stored} stored, {report.refused} refused")
