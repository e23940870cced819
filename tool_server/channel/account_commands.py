"""The commands `shenqiao account …`: add, test, list, show, export, enable, disable, menu, reseal, remove.

A running server follows at once: every process reads an account's state before it uses it.
"""

import json
import sys
from dataclasses import dataclass
from typing import TextIO

import click

from tool_server import logs
from tool_server.channel import menu as menus
from tool_server.channel.account import Account, WeComApp
from tool_server.channel.accounts import Accounts, read_account
from tool_server.channel.bot_socket.commands import connect
from tool_server.channel.checks import Check, check_account, check_bot
from tool_server.channel.public import public_of
from tool_server.channel.status_codes import make_code
from tool_server.channel.vault import Vault, VaultError
from tool_server.channel.wecom_api import WeComApi
from tool_server.channel.wecom_errors import SendError, advice
from tool_server.database import Database
from tool_server.errors import ApiError
from tool_server.migrate import migrate
from tool_server.settings import Settings, load


@dataclass(frozen=True)
class Opened:
    """What a command works with; its database is closed at the command's end."""

    settings: Settings
    database: Database
    vault: Vault
    accounts: Accounts

    @classmethod
    def here(cls) -> "Opened":
        settings = load()
        logs.configure(settings, "command")
        migrate(settings)
        vault = Vault.open(settings.data_dir)
        database = Database.open(settings)
        click.get_current_context().call_on_close(database.close)
        accounts = Accounts(database, vault, settings.channel_dify_hosts)
        return cls(settings, database, vault, accounts)

    def known(self, name: str) -> Account:
        found = self.before(name)
        if found is None:
            raise click.ClickException(f"There is no account {name}.")
        return found

    def check(self, name: str, account: Account) -> list[Check]:
        return [
            *check_account(self.settings, account),
            *check_bot(self.settings, self.database, name, account),
        ]

    def before(self, name: str) -> Account | None:
        try:
            return self.accounts.get(name)
        except VaultError as error:
            raise click.ClickException(
                f"{error} Or remove the account {name} and enter it again."
            ) from None

    def save(self, name: str, account: Account) -> None:
        try:
            self.accounts.save(name, account)
        except ApiError as error:
            raise click.ClickException(error.message) from None


@click.group()
def account() -> None:
    """WeChat accounts: add, test, list and change them."""


@account.command("add")
@click.argument("name")
@click.argument("file", type=click.File(encoding="utf-8"), default="-")
def add(name: str, file: TextIO) -> None:
    """Create or replace the account NAME from a JSON FILE (or standard input), then test it."""
    opened = Opened.here()
    try:
        body = json.loads(file.read())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise click.ClickException(f"The account must be one JSON object: {error}") from None
    if not isinstance(body, dict):
        raise click.ClickException("The account must be one JSON object.")
    try:
        entered = read_account(body, opened.before(name))
    except ApiError as error:
        raise click.ClickException(error.message) from None
    opened.save(name, entered)
    click.echo(f"saved {name}")
    report(opened.check(name, entered))


@account.command("test")
@click.argument("name")
def test(name: str) -> None:
    """Check the account NAME: the platform's token, the Dify app, its start variable."""
    opened = Opened.here()
    if not report(opened.check(name, opened.known(name))):
        sys.exit(1)


account.add_command(connect)


@account.command("list")
def show_all() -> None:
    """Name all accounts."""
    for name in Opened.here().accounts.names():
        click.echo(name)


@account.command("export")
@click.argument("names", nargs=-1)
def export(names: tuple[str, ...]) -> None:
    """Print the accounts NAMES (or all) as JSON; secrets are shown as "…", which `add` takes for "as it was"."""
    opened = Opened.here()
    found = {name: opened.known(name) for name in names or opened.accounts.names()}
    shown = {name: one.model_dump(mode="json") for name, one in found.items()}
    click.echo(json.dumps(shown, ensure_ascii=False, indent=2))


@account.command("enable")
@click.argument("name")
def enable(name: str) -> None:
    """Let the account NAME take messages again."""
    _switch(name, on=True)


@account.command("disable")
@click.argument("name")
def disable(name: str) -> None:
    """Refuse the account NAME's callbacks from now on; what was taken is still answered."""
    _switch(name, on=False)


@account.command("address")
@click.argument("name")
@click.argument("url")
def address(name: str, url: str) -> None:
    """Say at which URL people reach the account NAME: that of its endpoint in Dify; "" for the server's own."""
    opened = Opened.here()
    before = opened.known(name)
    body = before.model_dump(mode="json") | {"public_url": url}
    try:
        entered = read_account(body, before)
    except ApiError as error:
        raise click.ClickException(error.message) from None
    opened.save(name, entered)
    public = public_of(opened.settings, name, entered)
    click.echo(f"callbacks of {name} come to {public.callback or 'no known address'}")


@account.command("code")
def code() -> None:
    """Print a code that opens the status pages of all accounts for a while."""
    opened = Opened.here()
    life_s = opened.settings.channel_status_code_s
    click.echo(f"{make_code(opened.database, life_s)}  (good for {life_s // 60} minutes)")


@account.command("menu")
@click.argument("name")
@click.option("--delete", is_flag=True, help="Take the menu away.")
def menu(name: str, *, delete: bool) -> None:
    """Show the account NAME's menu in WeCom, as its field `menu` says."""
    opened = Opened.here()
    app = opened.known(name)
    if not isinstance(app, WeComApp):
        raise click.ClickException("Only a self-built app has a menu.")
    if not delete and not app.menu:
        raise click.ClickException("The account's field `menu` has no buttons.")
    api = WeComApi(
        opened.settings.channel_wecom_url, timeout_s=opened.settings.channel_wecom_timeout_s
    )
    try:
        _send_menu(api, app, delete=delete)
    except SendError as error:
        raise click.ClickException(advice(error).en) from None
    finally:
        api.close()
    click.echo("the menu is gone" if delete else "the menu is set; phones show it within a day")


@account.command("reseal")
def reseal() -> None:
    """Seal all secrets with a new key; the one before stays until the next time."""
    opened = Opened.here()
    try:
        opened.vault.add_key()
        number = opened.accounts.reseal()
    except VaultError as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"{number} accounts are sealed with a new key; back up secret.key now")


@account.command("remove")
@click.argument("name")
def remove(name: str) -> None:
    """Delete the account NAME; its messages stay in the ledger."""
    try:
        Opened.here().accounts.remove(name)
    except ApiError as error:
        raise click.ClickException(error.message) from None
    click.echo(f"removed {name}")


def report(checks: list[Check]) -> bool:
    """Print the checks; whether all went well."""
    for check in checks:
        click.echo(f"{'ok ' if check.ok else 'NO '} {check.name}  {check.advice}".rstrip())
    return all(check.ok for check in checks)


def _switch(name: str, *, on: bool) -> None:
    opened = Opened.here()
    opened.save(name, opened.known(name).model_copy(update={"enabled": on}))
    click.echo(f"{'enabled' if on else 'disabled'} {name}")


def _send_menu(api: WeComApi, app: WeComApp, *, delete: bool) -> None:
    agent = {"agentid": str(app.agent_id)}
    if delete:
        api.get(app, "/cgi-bin/menu/delete", agent)
    else:
        api.call(app, "/cgi-bin/menu/create", menus.wire(app.menu), agent)
