"""What the channel's tests share: a migrated database of their own, and one account.

With TEST_DATABASE=postgresql (`make real`) the ledger is on a real PostgreSQL, but for tests marked `sqlite`.
"""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from playground.wechat.__main__ import build
from playground.wechat.platform import Platform
from tests.channel.desk import Desk
from tests.fakes.dify import FakeDify
from tool_server.channel.account import Account, WeComKf, parse_account
from tool_server.channel.job import Job
from tool_server.channel.ledger import Claim, Ledger
from tool_server.channel.queue_limits import QueueLimits
from tool_server.channel.surface import Incoming
from tool_server.channel.work import Work
from tool_server.database import Database
from tool_server.migrate import migrate
from tool_server.settings import Settings, load

AES_KEY = "R/azTixs1CVSRo/fDJP5i4DORZC8RTls1fExFZ3+zSc"


ON_POSTGRESQL = os.environ.get("TEST_DATABASE", "sqlite") == "postgresql"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """On PostgreSQL only what asks for a database is worth running again."""
    if ON_POSTGRESQL:
        items[:] = [
            item
            for item in items
            if item.get_closest_marker("sqlite") is None
            and "new_database" in getattr(item, "fixturenames", ())
        ]


@pytest.fixture(scope="session")
def migrated_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database with its tables on PostgreSQL; empty where the ledger is SQLite in the data folder."""
    if not ON_POSTGRESQL:
        yield ""
        return
    from tests.postgres import Missing, running

    try:
        with running() as server:
            url = server.new_database()
            migrate(_settings(tmp_path_factory.mktemp("first"), url))
            yield url
    except Missing as error:
        pytest.skip(str(error))


@pytest.fixture
def new_database(migrated_url: str) -> Iterator[str]:
    """No row of an earlier test is in this one's; gives the database's URL on PostgreSQL."""
    yield migrated_url
    if migrated_url:
        from tests.postgres import empty

        empty(migrated_url)


@pytest.fixture
def settings(tmp_path: Path, new_database: str) -> Settings:
    return _settings(tmp_path, new_database)


def _settings(folder: Path, database_url: str) -> Settings:
    return load(
        {
            "SHENQIAO_DATA_DIR": str(folder / "data"),
            "SHENQIAO_RUN_DIR": str(folder / "r"),
            "SHENQIAO_MODEL_ENABLED": "false",
            "SHENQIAO_DATABASE_URL": database_url,
        }
    )


@pytest.fixture
def database(settings: Settings, migrated: Path) -> Iterator[Database]:
    shutil.copytree(migrated, settings.data_dir, dirs_exist_ok=True)
    database = Database.open(settings)
    yield database
    database.close()


@pytest.fixture
def dify() -> Iterator[FakeDify]:
    with FakeDify() as dify:
        yield dify


@pytest.fixture
def platform() -> Platform:
    return build(
        {
            "corp_id": "wwcorp",
            "agent_id": 7,
            "secret": "the-secret",
            "token": "thetoken",
            "encoding_aes_key": AES_KEY,
        }
    )


@pytest.fixture
def desk(
    settings: Settings, database: Database, dify: FakeDify, platform: Platform
) -> Iterator[Desk]:
    desk = Desk(settings, database, dify, platform, make_account(dify_url=dify.url, agent_id=7))
    yield desk
    desk.close()


@pytest.fixture
def account() -> Account:
    return make_account()


def make_account(**changes: object) -> Account:
    values: dict[str, object] = {
        "surface": "wecom_app",
        "corp_id": "wwcorp",
        "agent_id": 1000002,
        "secret": "the-secret",
        "token": "thetoken",
        "encoding_aes_key": AES_KEY,
        "dify_url": "http://127.0.0.1:9/v1",
        "dify_key": "app-test",
    }
    return parse_account(values | changes)


def ledger_of(
    database: Database, *, queue: int = 50, person: int = 50, busy: int = 50, pause_s: float = 60
) -> Ledger:
    return Ledger(database, limits=QueueLimits(queue, person, busy, pause_s), ticket_ttl_s=600)


def worker_of(database: Database, owner: str, lease_s: float = 30) -> Work:
    return Work(database, owner, lease_s=lease_s, ticket_ttl_s=600)


def incoming(
    number: int, user: str = "zhang", kind: str = "text", text: str | None = None
) -> Incoming:
    said = f"问题 {number}" if text is None else text
    return Incoming(f"corp/1/{number}", str(number), user, kind, said, 1700000000)


def claim(
    ledger: Ledger,
    number: int,
    *,
    wait_s: float = 0.0,
    user: str = "zhang",
    text: str | None = None,
) -> Claim:
    wait_until = time.time() + wait_s if wait_s else 0.0
    return ledger.claim("acc", incoming(number, user, text=text), wait_until=wait_until)


def pass_time(database: Database, moment: sa.Column[float], seconds: float) -> None:
    """As if so much time had gone by since a row's `moment` was set: leases and pauses need no waiting for."""
    earlier = sa.update(moment.table).values({moment.name: moment - seconds})
    database.write(lambda db: db.execute(earlier))


def job_of(work: Work) -> Job:
    """The next message; there must be one."""
    job = work.lease()
    assert job is not None
    return job


def make_kf(**changes: object) -> WeComKf:
    """The same app's customer service."""
    values: dict[str, object] = {
        "surface": "wecom_kf",
        "corp_id": "wwcorp",
        "secret": "the-secret",
        "token": "thetoken",
        "encoding_aes_key": AES_KEY,
        "dify_url": "http://127.0.0.1:9/v1",
        "dify_key": "app-test",
    }
    return WeComKf.model_validate(values | changes)
