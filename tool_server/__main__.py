"""The command line: `shenqiao …`, the same as `python -m tool_server …`."""

import importlib
import sys

import click

from tool_server import logs
from tool_server.settings import Settings, SettingsError, load

# Commands by the module that holds them. A process imports only the one that it is asked for: the engine needs
# neither database nor index, and would start two seconds later with them.
MODULES = {
    "account": "tool_server.channel.account_commands",
    "aux": "tool_server.model.commands",
    "doctor": "tool_server.channel.doctor_commands",
    "engine": "tool_server.model.commands",
    "evaluate": "tool_server.knowledge.evaluate",
    "index": "tool_server.knowledge.index_commands",
    "backup": "tool_server.backup_commands",
    "indexer": "tool_server.knowledge.commands",
    "ingest": "tool_server.knowledge.commands",
    "restore": "tool_server.backup_commands",
    "key": "tool_server.key_commands",
    "pins": "tool_server.knowledge.pin_commands",
    "forget": "tool_server.channel.ledger_commands",
    "letters": "tool_server.channel.ledger_commands",
    "reconcile": "tool_server.channel.ledger_commands",
    "trace": "tool_server.channel.ledger_commands",
    "vectors": "tool_server.knowledge.vectors.commands",
    "worker": "tool_server.channel.commands",
}
# Where the function cannot have its command's name.
COMMANDS = {"reconcile": "reconcile_command"}


class Commands(click.Group):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *MODULES})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in MODULES:
            return super().get_command(ctx, cmd_name)
        module = importlib.import_module(MODULES[cmd_name])
        command: click.Command = getattr(module, COMMANDS.get(cmd_name, cmd_name))
        return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
def shenqiao() -> None:
    """Shenqiao: your own assistant in WeChat, on your own machines."""


@shenqiao.command()
def serve() -> None:
    """Run everything on this machine: engine, web, worker and indexer; Ctrl-C ends them all."""
    from tool_server.supervisor import Supervisor

    settings = load()
    _check_model(settings)
    _check_index(settings)
    logs.configure(settings, "supervisor")
    supervisor = Supervisor(settings)
    supervisor.start_engines()
    try:
        _prepare(settings)
    except BaseException:
        supervisor.end()
        raise
    click.echo("Shenqiao listens on http://{}:{}".format(*supervisor.address), err=True)
    supervisor.run()


def _prepare(settings: Settings) -> None:
    """Databases and keys, before web and worker need them."""
    from tool_server.auth import Keys
    from tool_server.migrate import migrate

    migrate(settings)
    Keys.load(settings)


@shenqiao.command()
@click.option("--fd", "descriptor", type=int, default=None, help="A listening socket to serve.")
def web(descriptor: int | None) -> None:
    """Run the web process alone."""
    from tool_server import web as process
    from tool_server.migrate import migrate

    settings = load()
    migrate(settings)
    process.main(settings, descriptor)


def _check_model(settings: Settings) -> None:
    """There is something to answer with. Raises `SettingsError`."""
    from tool_server.model.aux import kinds

    if not settings.model_enabled:
        return
    kinds.check(settings)
    if settings.model_backend == "upstream":
        from tool_server.model.upstream import read_urls

        read_urls(settings)
    elif not (settings.model_path / "config.json").is_file():
        raise SettingsError(
            f"SHENQIAO_MODEL_PATH: there is no model in {str(settings.model_path)!r};"
            " name its folder, or set SHENQIAO_MODEL_ENABLED=false."
        )


def _check_index(settings: Settings) -> None:
    """What is set for Elasticsearch fits together. Raises `SettingsError`."""
    if settings.knowledge_enabled and settings.knowledge_backend == "elasticsearch":
        from tool_server.knowledge.index.elastic_client import options

        options(settings)


def main() -> None:
    """Entry point; a setting that is wrong ends with one sentence, not with a stack trace."""
    try:
        shenqiao()
    except SettingsError as error:
        click.echo(f"shenqiao: {error}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
