"""What knowledge's tests share: an empty installation, and the sample handbook in it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tool_server.knowledge.ingest import ingest
from tool_server.knowledge.search import Knowledge
from tool_server.migrate import migrate
from tool_server.settings import Settings, load

HANDBOOK = Path(__file__).parents[2] / "playground" / "handbook"


@pytest.fixture
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("installation")
    settings = load(
        {
            "SHENQIAO_DATA_DIR": str(folder / "data"),
            "SHENQIAO_RUN_DIR": str(folder / "r"),
            "SHENQIAO_MODEL_ENABLED": "false",
        }
    )
    migrate(settings)
    return settings


@pytest.fixture
def knowledge(settings: Settings) -> Iterator[Knowledge]:
    knowledge = Knowledge.open(settings)
    yield knowledge
    knowledge.catalogue.close()


@pytest.fixture
def handbook(knowledge: Knowledge) -> Knowledge:
    ingest(knowledge, "handbook", [HANDBOOK])
    return knowledge
