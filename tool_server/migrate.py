"""Bringing the databases to this version's tables: Alembic, one process at a time; called at every start."""

import fcntl
from pathlib import Path

import alembic.command
import alembic.config
import sqlalchemy as sa

from tool_server.database import Database, url_of
from tool_server.knowledge import catalogue
from tool_server.settings import Settings, SettingsError

HERE = Path(__file__).parent
LEDGER = HERE / "migrations"
CATALOGUE = HERE / "knowledge" / "migrations"
# PostgreSQL's lock of whoever migrates, on any node; the number means nothing.
MIGRATING = 5_417_304_211
# What PostgreSQL refuses, by SQLSTATE, in words that hold neither password nor address.
REFUSALS = {
    "28P01": "user or password are wrong",
    "28000": "this user may not log in",
    "3D000": "there is no such database",
    "42501": "this user may not make tables",
    "53300": "it has no connection left",
}


def migrate(settings: Settings) -> None:
    """Upgrade to the newest revision; a second process waits here until the first is done. Raises `SettingsError`."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    settings.run_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (settings.data_dir / "migrate.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            _upgrade(Database.open(settings), LEDGER)
        except sa.exc.DBAPIError as error:
            if not settings.database_url.get_secret_value():
                raise
            raise SettingsError(_why(settings, error)) from None
        if settings.knowledge_enabled:
            _upgrade(Database(catalogue.url_of(settings)), CATALOGUE)


def _upgrade(database: Database, scripts: Path) -> None:
    try:
        writing = database.engine.connect().execution_options(writes_at_once=True)
        with writing as connection, connection.begin():
            if database.postgresql:
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(MIGRATING)))
            _run(connection, scripts)
    finally:
        database.close()


def _run(connection: sa.Connection, scripts: Path) -> None:
    config = alembic.config.Config()
    config.set_main_option("script_location", str(scripts))
    config.attributes["connection"] = connection
    alembic.command.upgrade(config, "head")


def _why(settings: Settings, error: sa.exc.DBAPIError) -> str:
    """One sentence. A refused login has no SQLSTATE when libpq reports it, so its words are looked for too."""
    url, state, said = url_of(settings), getattr(error.orig, "sqlstate", None), str(error.orig)
    reason = REFUSALS.get(state or "", "")
    if not reason and "authentication failed" in said:
        reason = REFUSALS["28P01"]
    if not reason and "does not exist" in said:
        reason = REFUSALS["3D000"]
    where = f"{url.host or url.query.get('host', 'localhost')}:{url.port or 5432}"
    refused = f"refuses: {reason}" if reason else f"cannot be used (code {state})"
    if not reason and state is None:
        refused = "cannot be reached"
    return f"SHENQIAO_DATABASE_URL: PostgreSQL at {where} {refused}."
