"""What knowledge's tests share: an empty installation, and the sample handbook in it.

With TEST_KNOWLEDGE_BACKEND=elasticsearch (`make real`) they run on a real node, but for those marked `embedded`.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tool_server.knowledge.ingest import ingest
from tool_server.knowledge.search import Knowledge
from tool_server.migrate import migrate
from tool_server.settings import Settings, load

HANDBOOK = Path(__file__).parents[2] / "playground" / "handbook"


ON_NODE = os.environ.get("TEST_KNOWLEDGE_BACKEND", "embedded") == "elasticsearch"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if ON_NODE:
        items[:] = [item for item in items if item.get_closest_marker("embedded") is None]


@pytest.fixture(scope="session")
def backend() -> Iterator[Callable[[], dict[str, str]]]:
    """Settings of the index: another one for each test."""
    if not ON_NODE:
        yield dict
        return
    from tests.real.node import Missing, running

    try:
        with running() as node:
            yield node.settings
    except Missing as error:
        pytest.skip(str(error))


@pytest.fixture
def settings(
    tmp_path_factory: pytest.TempPathFactory, backend: Callable[[], dict[str, str]]
) -> Settings:
    folder = tmp_path_factory.mktemp("installation")
    settings = load(
        {
            "SHENQIAO_DATA_DIR": str(folder / "data"),
            "SHENQIAO_RUN_DIR": str(folder / "r"),
            "SHENQIAO_MODEL_ENABLED": "false",
            **backend(),
        }
    )
    migrate(settings)
    return settings


@pytest.fixture
def knowledge(settings: Settings) -> Iterator[Knowledge]:
    knowledge = Knowledge.open(settings)
    yield knowledge
    knowledge.index.close()
    knowledge.catalogue.close()


@pytest.fixture
def handbook(knowledge: Knowledge) -> Knowledge:
    ingest(knowledge, "handbook", [HANDBOOK])
    return knowledge
