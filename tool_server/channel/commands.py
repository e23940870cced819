"""The channel's commands: `worker`, `account …`, `trace`."""

import json
import sys
import time
from typing import TextIO

import click

from tool_server import logs
from tool_server.channel.accounts import Accounts
from tool_server.channel.checks import check_account
from tool_server.channel.ledger import Ledger
from tool_server.channel.routes import read_account
from tool_server.channel.vault import Vault
from tool_server.database import Database
from tool_server.errors import ApiError
from tool_server.migrate import migrate
from tool_server.settings import Settings, load


@click.command()
def worker() -> None:
    """Run one worker process alone."""
    from tool_server.channel import worker as process

    settings = load()
    migrate(settings)
    process.main(settings)


@click.group()
def account() -> None:
    """WeChat accounts: add, test, list, remove."""


@account.command("add")
@click.argument("name")
@click.argument("file", type=click.File(encoding="utf-8"), default="-")
def add(name: str, file: TextIO) -> None:
    """Create or replace the account NAME from a JSON FILE (or standard input), then test it."""
    settings = _settings()
    accounts = _accounts(settings)
    try:
        body = json.loads(file.read())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise click.ClickException(f"The account must be one JSON object: {error}") from None
    if not isinstance(body, dict):
        raise click.ClickException("The account must be one JSON object.")
    try:
        entered = read_account(body, accounts.get(name))
        accounts.save(name, entered)
    except ApiError as error:
        raise click.ClickException(error.message) from None
    click.echo(f"saved {name}")
    _report(check_account(settings, entered))


@account.command("test")
@click.argument("name")
def test(name: str) -> None:
    """Check the account NAME: the platform's token, the Dify app, its start variable."""
    settings = _settings()
    found = _accounts(settings).get(name)
    if found is None:
        raise click.ClickException(f"There is no account {name}.")
    if not _report(check_account(settings, found)):
        sys.exit(1)


@account.command("list")
def show_all() -> None:
    """Name all accounts."""
    for name in _accounts(_settings()).names():
        click.echo(name)


@account.command("remove")
@click.argument("name")
def remove(name: str) -> None:
    """Delete the account NAME; its messages stay in the ledger."""
    try:
        _accounts(_settings()).remove(name)
    except ApiError as error:
        raise click.ClickException(error.message) from None
    click.echo(f"removed {name}")


@click.command()
@click.argument("account_name", metavar="ACCOUNT")
@click.argument("message_id", metavar="MSGID")
def trace(account_name: str, message_id: str) -> None:
    """Print the life of one message: MSGID is the platform's id."""
    settings = _settings()
    database = Database.open(settings)
    ledger = Ledger(
        database,
        queue_limit=settings.channel_queue_limit,
        ticket_ttl_s=settings.channel_ticket_ttl_s,
    )
    found = ledger.timeline(account_name, message_id)
    database.close()
    if found is None:
        raise click.ClickException("No message of this account has this id.")
    started = found["message"]["received_at"]
    click.echo(time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(started)))
    for event in found["events"]:
        details = " ".join(f"{name}={value}" for name, value in event["data"].items())
        click.echo(f"{(event['at'] - started) * 1000:9.1f} ms  {event['name']:16} {details}")


def _settings() -> Settings:
    settings = load()
    logs.configure(settings, "command")
    migrate(settings)
    return settings


def _accounts(settings: Settings) -> Accounts:
    vault = Vault.open(settings.data_dir)
    return Accounts(Database.open(settings), vault, settings.channel_dify_hosts)


def _report(checks: list[dict[str, object]]) -> bool:
    for check in checks:
        click.echo(f"{'ok ' if check['ok'] else 'NO '} {check['name']}  {check['advice']}".rstrip())
    return all(check["ok"] for check in checks)
