"""The commands `shenqiao key …`: add, list, rotate, disable, enable, remove. A running server follows in a second."""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from tool_server import key_changes, key_file, key_use
from tool_server.access import own_right
from tool_server.key_changes import KeySet, Mistake
from tool_server.key_file import SCOPES, Key, Scope, digest, moment, new_secret
from tool_server.settings import load

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
NUMBER = click.IntRange(1, 1_000_000_000)
# Who needs both for longer makes a second key.
GRACE_HOURS = 24 * 90


def _future(_ctx: click.Context, _param: click.Parameter, value: str | None) -> datetime | None:
    """An option's date or time that is still to come."""
    if value is None:
        return None
    try:
        found = moment(value)
    except ValueError as error:
        raise click.BadParameter(f"{value} is not possible: {error}.") from None
    if found <= datetime.now(UTC):
        raise click.BadParameter(f"{value} is past.")
    return found


def _hours(_ctx: click.Context, _param: click.Parameter, value: float) -> float:
    if not 0 <= value <= GRACE_HOURS:  # "nan" as well
        raise click.BadParameter(f"{value:g} is not between 0 and {GRACE_HOURS} hours.")
    return value


def _rights(
    _ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]
) -> tuple[str, ...]:
    """Words of rights, each once."""
    for value in values:
        try:
            own_right(value)
        except ValueError as error:
            raise click.BadParameter(f"{value[:200]!r}: {error}, or * for everything.") from None
    return tuple(dict.fromkeys(values))


def _plain(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    """A new key's name: it goes into log and metrics."""
    if not NAME.fullmatch(value):
        raise click.BadParameter(
            f"{value[:64]!r} is no name: 1 to 64 letters, digits, dots, hyphens and underscores."
        )
    return value


@click.group()
def key() -> None:
    """Keys of this tool server: who may call what, and how much of it."""


@key.command("add")
@click.argument("name", callback=_plain)
@click.option("--scope", "scopes", type=click.Choice(SCOPES), multiple=True, required=True)
@click.option("--max-running", type=NUMBER, help="Requests at once.")
@click.option("--requests-per-minute", type=NUMBER)
@click.option("--tokens-per-minute", type=NUMBER, help="Tokens of prompts and answers together.")
@click.option(
    "--expires",
    callback=_future,
    metavar="DATE",
    help="2027-01-31 (its end, UTC) or 2027-01-31T12:00:00Z.",
)
@click.option("--model", "models", multiple=True, help="A model that it may use; none: all.")
@click.option(
    "--rights",
    multiple=True,
    callback=_rights,
    metavar="RIGHT",
    help="What it sees of the knowledge, besides what is public; * is everything.",
)
def add(
    name: str,
    scopes: tuple[Scope, ...],
    models: tuple[str, ...],
    rights: tuple[str, ...],
    expires: datetime | None,
    **limits: int | None,
) -> None:
    """Make the key NAME and show its secret, once: the file keeps only a hash of it."""
    secret = new_secret()
    new = Key(
        name=name,
        sha256=digest(secret),
        scopes=tuple(dict.fromkeys(scopes)),
        created=datetime.now(UTC).replace(microsecond=0),
        expires=expires,
        models=models or None,
        rights=rights,
        **limits,
    )
    _change(lambda keys: key_changes.add(keys, new))
    click.echo(f"Added {name}. Its secret is shown only now:", err=True)
    click.echo(secret)


@key.command("list")
def show_all() -> None:
    """Name all keys with what they open; secrets are never shown."""
    path = _path()
    used = key_use.read(path.with_name(key_use.FILE))
    rows = [("NAME", "STATE", "SCOPES", "LAST USE", "REMARKS")]
    rows += [_row(key, used.get(key.name)) for key in key_file.read(path)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


@key.command("rotate")
@click.argument("name")
@click.option(
    "--grace",
    type=float,
    callback=_hours,
    default=0.0,
    metavar="HOURS",
    help="How long the old secret stays good; without it, it ends now.",
)
@click.option("--hashed", is_flag=True, help="Keep only a hash, also where the file had the text.")
def rotate(name: str, grace: float, hashed: bool) -> None:
    """Give the key NAME a new secret and show it."""
    secret, time_left = new_secret(), timedelta(hours=grace)
    _change(
        lambda keys: key_changes.rotate(keys, name, secret, grace=time_left, hashed=hashed),
    )
    until = f"stays good for {grace:g} hours" if grace else "opens nothing any more"
    click.echo(f"Rotated {name}; the old secret {until}. The new one:", err=True)
    click.echo(secret)


@key.command("disable")
@click.argument("name")
def disable(name: str) -> None:
    """Let the key NAME open nothing until it is enabled again."""
    _change(lambda keys: key_changes.disable(keys, name))
    click.echo(f"disabled {name}")


@key.command("enable")
@click.argument("name")
def enable(name: str) -> None:
    """Let the key NAME open again what it opened before."""
    _change(lambda keys: key_changes.enable(keys, name))
    click.echo(f"enabled {name}")


@key.command("remove")
@click.argument("name")
def remove(name: str) -> None:
    """Delete the key NAME for ever."""
    _change(lambda keys: key_changes.remove(keys, name))
    click.echo(f"removed {name}")


def _path() -> Path:
    """The key file; made, as at the first start of the server, where there is none."""
    path = load().data_dir / key_file.FILE
    if not path.exists():
        key_file.make(path)
    return path


def _change(change: Callable[[KeySet], KeySet]) -> None:
    try:
        key_file.edit(_path(), change)
    except Mistake as error:
        raise click.ClickException(str(error)) from None


def _row(key: Key, used: float | None) -> tuple[str, str, str, str, str]:
    now = time.time()
    remarks = [
        f"{name}={value}"
        for name in ("max_running", "requests_per_minute", "tokens_per_minute")
        if (value := getattr(key, name)) is not None
    ]
    remarks += [f"model={model}" for model in key.models or ()]
    remarks += [f"right={right}" for right in key.rights]
    remarks += [f"expires={_time(key.expires.timestamp())}"] if key.expires else []
    remarks += [
        f"old_secret_until={_time(old.until.timestamp())}"
        for old in key.previous
        if old.until.timestamp() > now
    ]
    last = "unknown" if used is None else _time(used)
    return key.name, key.state(now), ",".join(key.scopes), last, " ".join(remarks)


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%MZ")
