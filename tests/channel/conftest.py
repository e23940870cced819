"""What the channel's tests share: a migrated database in a folder of its own, and one account."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tool_server.channel.account import Account, parse_account
from tool_server.database import Database
from tool_server.migrate import migrate
from tool_server.settings import Settings, load

AES_KEY = "R/azTixs1CVSRo/fDJP5i4DORZC8RTls1fExFZ3+zSc"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(
        {
            "SHENQIAO_DATA_DIR": str(tmp_path / "data"),
            "SHENQIAO_RUN_DIR": str(tmp_path / "r"),
            "SHENQIAO_MODEL_ENABLED": "false",
        }
    )


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    migrate(settings)
    database = Database.open(settings)
    yield database
    database.close()


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
