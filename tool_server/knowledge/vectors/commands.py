"""`vectors`: make the vectors now, and say whether searches use them."""

import click
from rich.console import Console
from rich.progress import Progress

from tool_server import logs
from tool_server.knowledge.index import IndexBusy
from tool_server.knowledge.search import Knowledge
from tool_server.knowledge.vectors.embedding import EmbeddingError
from tool_server.knowledge.vectors.leg import NOT_CONFIGURED
from tool_server.migrate import migrate
from tool_server.settings import load

WAIT_S = 3.0


@click.command()
def vectors() -> None:
    """Bring the vectors up to the catalogue, test the embedding model, and print the test's result.

    After a stop it goes on where it was. The server does the same by itself, in the background.
    """
    settings = load()
    logs.configure(settings, "vectors")
    migrate(settings)
    knowledge = Knowledge.open(settings)
    leg = knowledge.vectors
    if leg is None:
        raise click.ClickException(f"{NOT_CONFIGURED} SHENQIAO_KNOWLEDGE_EMBEDDING_URL names one.")
    console = Console(stderr=True)
    try:
        with Progress(console=console, transient=True, disable=not console.is_terminal) as bars:
            bar = bars.add_task("embedding", total=knowledge.catalogue.sequence())
            leg.catch_up(
                knowledge.index,
                wait_s=WAIT_S,
                progress=lambda sequence: bars.update(bar, completed=sequence),
            )
    except EmbeddingError as error:
        raise click.ClickException(str(error)) from None
    except IndexBusy:
        raise click.ClickException("Another process is making the vectors.") from None
    finally:
        knowledge.catalogue.close()
    verdict = leg.verdict()
    if verdict is not None:
        click.echo(
            f"{verdict.sample} passages searched for by a part of their text:"
            f" lexical {verdict.lexical:.3f}, hybrid {verdict.hybrid:.3f}"
        )
    click.echo(f"Searches are lexical: {leg.reason()}" if leg.reason() else "Searches are hybrid.")
