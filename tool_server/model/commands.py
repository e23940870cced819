"""The model's commands: `engine` and `aux`."""

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


@click.command()
def aux() -> None:
    """Run the process of the auxiliary models alone: embedding, rerank, speech, guard."""
    settings = load()
    from tool_server.model.aux import kinds, process

    if not kinds.check(settings):
        raise SettingsError(
            "No auxiliary model is configured; SHENQIAO_MODEL_EMBEDDING_PATH names one."
        )
    settings.run_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    process.main(settings)
