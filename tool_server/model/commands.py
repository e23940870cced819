"""The model's command: `engine`."""

import click

from tool_server.settings import SettingsError, load


@click.command()
def engine() -> None:
    """Run the engine process alone: it owns the device and the model."""
    settings = load()
    from tool_server.model.engine import process
    from tool_server.model.engine.load import LoadError

    settings.run_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        process.main(settings)
    except LoadError as error:
        raise SettingsError(str(error)) from None


COMMANDS = (engine,)
