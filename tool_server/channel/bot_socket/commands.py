"""`shenqiao account connect`: lets a bot connect again after somebody else has taken its connection."""

import click

from tool_server import logs
from tool_server.channel.account import WeComBotSocket
from tool_server.channel.accounts import Accounts
from tool_server.channel.leaders import allow
from tool_server.channel.vault import Vault
from tool_server.database import Database
from tool_server.migrate import migrate
from tool_server.settings import load


@click.command()
@click.argument("name")
def connect(name: str) -> None:
    """Let the bot NAME connect again after somebody else has taken its connection."""
    settings = load()
    logs.configure(settings, "command")
    migrate(settings)
    database = Database.open(settings)
    try:
        found = Accounts(database, Vault.open(settings.data_dir)).get(name)
        if not isinstance(found, WeComBotSocket):
            raise click.ClickException(f"There is no bot with a long connection called {name}.")
        allow(database, name)
    finally:
        database.close()
    click.echo(f"{name} may connect again; a running worker does so within a second.")
