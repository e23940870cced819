"""The command `shenqiao doctor`: examines accounts and says what to do; ends with 1 where something is not well."""

import json
import sys
from dataclasses import asdict

import click

from tool_server.channel.account_commands import Opened, report
from tool_server.channel.doctor import examine
from tool_server.channel.wecom_errors import ACTIONS, FAULTS


@click.command()
@click.argument("account", required=False)
@click.option("--wecom", is_flag=True, help="Examine the WeCom accounts.")
@click.option(
    "--user", default="", help="The userid of somebody who should be able to use the app."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--codes", is_flag=True, help="Explain the platform's error codes, nothing else.")
def doctor(account: str | None, *, wecom: bool, user: str, as_json: bool, codes: bool) -> None:
    """Check token, trusted IP, visibility, callbacks and Dify app of ACCOUNT, or of all accounts."""
    if codes:
        _explain_codes()
        return
    if not wecom:
        raise click.UsageError("Say what to examine: --wecom.")
    opened = Opened.here()
    names = [account] if account else opened.accounts.names()
    results = {}
    for name in names:
        results[name] = examine(opened.settings, opened.database, name, opened.known(name), user)
        if not as_json:
            click.echo(name)
            report(results[name])
    if as_json:
        shown = {name: [asdict(check) for check in checks] for name, checks in results.items()}
        click.echo(json.dumps(shown, ensure_ascii=False, indent=2))
    if not all(check.ok for checks in results.values() for check in checks):
        sys.exit(1)


def _explain_codes() -> None:
    for fault in FAULTS:
        click.echo(f"{', '.join(map(str, fault.codes))}: {fault.cause.en}")
        click.echo(f"    {fault.fix.en} Shenqiao {ACTIONS[fault.then]}.")
