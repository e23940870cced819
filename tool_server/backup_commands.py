"""`shenqiao backup` and `shenqiao restore`."""

from pathlib import Path

import click

from tool_server import backup as archive
from tool_server.settings import load

APART = (
    "Not in it, to be saved apart and kept secret: {names} in {folder}. Without secret.key the accounts' secrets"
    " must be given anew; without keys.json new keys are made."
)

LEDGER_APART = (
    "Not in it: the ledger, which is in PostgreSQL (SHENQIAO_DATABASE_URL). Save it with pg_dump at the same time,"
    " and restore both together."
)


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
def backup(file: Path) -> None:
    """Write databases and uploads into FILE, a tar archive, while everything runs.

    Keys and the encryption key are not in it: who finds the backup shall not have them too. The index is not either;
    it is built anew from the catalogue.
    """
    settings = load()
    data_dir = settings.data_dir
    try:
        manifest = archive.backup(data_dir, file.absolute())
    except archive.BackupError as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"{file}: {len(manifest.members)} files of version {manifest.version}")
    names = [name for name in archive.APART if (data_dir / name).exists()]
    if names:
        click.echo(APART.format(names=" and ".join(names), folder=data_dir), err=True)
    if settings.database_url.get_secret_value():
        click.echo(LEDGER_APART, err=True)


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
def restore(file: Path) -> None:
    """Fill the data folder, which must be empty, from FILE; every member is checked first.

    Put keys.json and secret.key beside it before the next start. The index is built anew at that start.
    """
    data_dir = load().data_dir
    try:
        manifest = archive.restore(file, data_dir.absolute())
    except archive.BackupError as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"{data_dir}: {len(manifest.members)} files of version {manifest.version}")
    click.echo(f"Now put {' and '.join(archive.APART)} there, then start.", err=True)
