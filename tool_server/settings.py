"""All settings, read once at start from the environment (`SHENQIAO_…`); nobody else reads the environment."""

import hashlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_core import ErrorDetails

from tool_server.channel.settings import ChannelSettings
from tool_server.knowledge.settings import KnowledgeSettings
from tool_server.model.aux.settings import AuxSettings
from tool_server.model.settings import ModelSettings
from tool_server.pictures.settings import PicturesSettings

PREFIX = "SHENQIAO_"
# A Unix socket's path may have 107 bytes on Linux; the longest name below `run_dir` takes 30.
RUN_DIR_LIMIT = 75
DATABASE_SCHEMES = ("postgresql", "postgres", "postgresql+psycopg")


class SettingsError(Exception):
    """A setting is unknown or has a bad value; the text is one sentence that names the variable."""


class Settings(ModelSettings, AuxSettings, KnowledgeSettings, ChannelSettings, PicturesSettings):
    """The whole configuration of one installation; frozen, so that it can be shared freely."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    data_dir: Path = Field(
        Path(".data"), description="Folder of everything that must survive: database, index, keys."
    )
    run_dir: Path = Field(
        Path(),
        description="Folder of sockets and heartbeats, at most 75 characters; empty: one in the temporary folder.",
    )
    database_url: SecretStr = Field(
        SecretStr(""),
        description="The ledger's PostgreSQL, postgresql://user:password@host:port/database; empty: SQLite.",
    )
    database_connections: int = Field(
        32, ge=2, le=500, description="Connections that one process may hold at PostgreSQL."
    )
    database_timeout_s: float = Field(
        5.0,
        gt=0,
        le=60,
        description="Seconds to connect to PostgreSQL, and to wait for one of the process's connections.",
    )
    host: str = Field("127.0.0.1", description="Address on which the web process listens.")
    port: int = Field(8000, ge=0, le=65535, description="Port on which the web process listens.")
    web_threads: int = Field(
        96, ge=8, le=1000, description="Requests that the web process serves at once."
    )
    log_level: str = Field(
        "info", pattern="^(debug|info|warning|error)$", description="Least severity that is logged."
    )
    model_enabled: bool = Field(True, description="Serve the model (`/v1`) here.")
    knowledge_enabled: bool = Field(True, description="Serve private knowledge here.")
    channel_enabled: bool = Field(True, description="Serve the WeChat channel here.")

    @field_validator("database_url")
    @classmethod
    def _postgresql(cls, value: SecretStr) -> SecretStr:
        """Looked at without the database's libraries: the engine reads settings too and loads none of them."""
        given = value.get_secret_value()
        if given and (urlsplit(given).scheme not in DATABASE_SCHEMES or not urlsplit(given).path):
            raise ValueError("must be postgresql://user:password@host:port/database, or empty")
        return value

    def short_run_dir(self) -> Path:
        """The folder of sockets: as set, or one in the temporary folder that belongs to `data_dir` alone."""
        if self.run_dir != Path():
            return self.run_dir
        digest = hashlib.sha256(str(self.data_dir.resolve()).encode()).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"shenqiao-{os.getuid()}-{digest}"


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from the environment; raises `SettingsError` with one sentence for the first thing that is wrong."""
    names = os.environ if environ is None else environ
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    for name in sorted(names):
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            raise SettingsError(f"{name} is not a setting; docs/settings.md lists them all.")
    try:
        settings = Settings.model_validate(_values(names))
    except ValidationError as error:
        first = error.errors()[0]
        name = PREFIX + str(first["loc"][0]).upper()
        raise SettingsError(f"{name}: {first['msg']}{_given(first)}.") from None
    run_dir = settings.short_run_dir()
    if len(str(run_dir.absolute())) > RUN_DIR_LIMIT:
        raise SettingsError(
            f"SHENQIAO_RUN_DIR has {len(str(run_dir.absolute()))} characters, {RUN_DIR_LIMIT} are possible: {run_dir}"
        )
    return settings.model_copy(update={"run_dir": run_dir.absolute()})


def _given(first: ErrorDetails) -> str:
    """What was given, unless that may hold a secret."""
    field = Settings.model_fields[str(first["loc"][0])]
    if field.annotation is SecretStr or field.json_schema_extra == {"hidden": True}:
        return ""
    return f" (given: {first['input']!r})"


def _values(names: Mapping[str, str]) -> dict[str, str]:
    return {
        name[len(PREFIX) :].lower(): value
        for name, value in names.items()
        if name.upper().startswith(PREFIX)
    }
