"""Bringing the databases to this version's tables: Alembic, one process at a time; called at every start."""

import fcntl
from pathlib import Path

import alembic.command
import alembic.config
import sqlalchemy as sa

from tool_server.database import Database, url_of
from tool_server.knowledge import catalogue
from tool_server.settings import Settings

HERE = Path(__file__).parent
LEDGER = HERE / "migrations"
CATALOGUE = HERE / "knowledge" / "migrations"


def migrate(settings: Settings) -> None:
    """Upgrade to the newest revision; a second process waits here until the first is done."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    settings.run_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (settings.data_dir / "migrate.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _upgrade(url_of(settings), LEDGER)
        if settings.knowledge_enabled:
            _upgrade(catalogue.url_of(settings), CATALOGUE)


def _upgrade(url: str, scripts: Path) -> None:
    database = Database(url)
    try:
        writing = database.engine.connect().execution_options(writes_at_once=True)
        with writing as connection:
            _run(connection, scripts)
    finally:
        database.close()


def _run(connection: sa.Connection, scripts: Path) -> None:
    config = alembic.config.Config()
    config.set_main_option("script_location", str(scripts))
    config.attributes["connection"] = connection
    alembic.command.upgrade(config, "head")
