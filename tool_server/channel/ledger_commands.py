"""Commands about messages: `reconcile`, `trace`, `letters …`, `forget`."""

import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TextIO

import click
import httpx

from tool_server import logs, wake
from tool_server.channel import letters as dead_letters
from tool_server.channel.erase import forget as erase_person
from tool_server.channel.life import lives
from tool_server.channel.reconcile import OUTCOMES, Log, Platform, Result, Window, reconcile
from tool_server.database import Database
from tool_server.errors import ApiError
from tool_server.migrate import migrate
from tool_server.settings import Settings, load

EXPORT_S = 60.0
COLUMNS = ("written", "refused", "received", *OUTCOMES, "logged", "difference")

# What is told of a message's row.
TOLD = (
    *("account", "kind", "state", "mode", "connections", "attempts", "takeovers"),
    *("model_runs", "fault"),
)


@click.command("reconcile")
@click.option("--since", default="", help="ISO time, local unless it says otherwise.")
@click.option("--until", default="", help="As --since; now if left out.")
@click.option("--log", "log_file", type=click.File(encoding="utf-8", errors="replace"))
@click.option("--platform", default="", help="JSON lines of the platform's side: file or address.")
def reconcile_command(since: str, until: str, log_file: TextIO | None, platform: str) -> None:
    """Compare the ledger with log and platform, minute by minute; exit code 1 when they differ."""
    window = Window(_time(since, 0.0, "--since"), _time(until, time.time(), "--until"))
    log = Log.read(log_file) if log_file is not None else None
    side = _platform(platform) if platform else None
    with _database() as (database, _):
        result = reconcile(database, window, platform=side, log=log)
    _print(result)
    if result.difference:
        sys.exit(1)


@click.command()
@click.argument("message_id", metavar="MSGID")
@click.option("--account", default=None, help="Where several accounts have a message of this id.")
@click.option("--json", "as_json", is_flag=True, help="All that is known, as JSON.")
def trace(message_id: str, account: str | None, as_json: bool) -> None:
    """Print the life of a message by the platform's id: events, pieces, runs, feedback; never its text."""
    with _database() as (database, _):
        found = lives(database, message_id, account)
    if not found:
        raise click.ClickException("No message has this id.")
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False, indent=2))
        return
    for life in found:
        _print_life(life)


@click.group()
def letters() -> None:
    """Dead letters: what could not be answered or delivered."""


@letters.command("list")
@click.option("--account", default=None)
def list_letters(account: str | None) -> None:
    """The newest dead letters with their reasons."""
    with _database() as (database, _):
        for letter in dead_letters.dead(database, account):
            when = time.strftime("%Y-%m-%d %H:%M", time.localtime(letter["received_at"]))
            click.echo(f"{when}  {letter['account']}  {letter['platform_id']}  {letter['fault']}")


@letters.command("send")
@click.argument("account")
@click.argument("message_id", metavar="MSGID")
def send_letter(account: str, message_id: str) -> None:
    """Deliver a dead letter of ACCOUNT once more."""
    with _database() as (database, settings):
        try:
            dead_letters.send_again(database, account, message_id)
        except ApiError as error:
            raise click.ClickException(error.message) from None
        wake.ring(settings.run_dir, "worker")
    click.echo(f"{message_id} is delivered again")


@click.command()
@click.argument("account")
@click.argument("user")
@click.option("--yes", is_flag=True, help="Do not ask.")
def forget(account: str, user: str, yes: bool) -> None:
    """Erase everything of USER in ACCOUNT, and print what went; it cannot be undone."""
    if not yes:
        click.confirm(f"Erase all messages of {user}?", abort=True)
    with _database() as (database, _):
        for name, rows in erase_person(database, account, user).items():
            click.echo(f"{rows:8}  {name}")


@contextmanager
def _database() -> Iterator[tuple[Database, Settings]]:
    settings = load()
    logs.configure(settings, "command")
    migrate(settings)
    database = Database.open(settings)
    try:
        yield database, settings
    finally:
        database.close()


def _time(text: str, default: float, name: str) -> float:
    if not text:
        return default
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise click.ClickException(
            f"{name}: {text!r} is no time such as 2026-11-27T21:00"
        ) from None


def _platform(source: str) -> Platform:
    try:
        if source.startswith(("http://", "https://")):
            answer = httpx.get(source, timeout=EXPORT_S, trust_env=False).raise_for_status()
            return Platform.read(answer.iter_lines())
        with click.open_file(source, encoding="utf-8") as file:
            return Platform.read(file)
    except (OSError, httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        raise click.ClickException(f"--platform: {type(error).__name__}: {error}") from None


def _print(result: Result) -> None:
    total = result.total
    shown = [name for name in COLUMNS if total[name] or name in ("received", "difference")]
    click.echo(f"{'minute':16}  " + "  ".join(f"{name:>10}" for name in shown))
    rows = [(_minute(at), counts) for at, counts in sorted(result.minutes.items())]
    for name, counts in [*rows, ("total", total)]:
        click.echo(f"{name:16}  " + "  ".join(f"{counts[column]:10}" for column in shown))
    for sentence in result.told:
        click.echo(sentence)


def _minute(at: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))


def _print_life(life: Mapping[str, Any]) -> None:
    message = life["message"]
    started = message["received_at"]
    click.echo(time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(started)))
    click.echo("  ".join(f"{name}={message[name]}" for name in TOLD if message[name] != ""))
    if message["stream_characters"]:
        click.echo(f"stream {message['stream_id']}: {message['stream_characters']} characters")
    for event in life["events"]:
        details = " ".join(f"{name}={value}" for name, value in event["data"].items())
        click.echo(f"{(event['at'] - started) * 1000:9.1f} ms  {event['name']:16} {details}")
    for piece in life["pieces"]:
        details = f"{piece['state']}, {piece['bytes']} bytes, {piece['attempts']} tries"
        click.echo(
            f"piece {piece['ordinal']}: {details} {piece['platform_id']} {piece['error']}".rstrip()
        )
    for thumb in life["feedback"]:
        click.echo(f"feedback: {thumb['rating'] or 'taken back'}, {thumb['state']}")
