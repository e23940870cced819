"""The channel's command `worker`; accounts have `account_commands`, messages `ledger_commands`."""

import click

from tool_server.migrate import migrate
from tool_server.settings import load


@click.command()
def worker() -> None:
    """Run one worker process alone."""
    from tool_server.channel import worker as process

    settings = load()
    migrate(settings)
    process.main(settings)
