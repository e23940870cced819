"""What knowledge's tests share: an empty installation, and the sample handbook in it.

With TEST_KNOWLEDGE_BACKEND=elasticsearch (`make real`) they run on a real node, but for those marked `embedded`.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tool_server.knowledge.ingest import ingest
from tool_server.knowledge.search import Knowledge
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


@pytest.fixture(scope="session")
def ingested(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the handbook in the catalogue and in the embedded index, to be copied."""
    settings = installation(tmp_path_factory.mktemp("ingested"), migrated)
    with opened(settings) as knowledge:
        ingest(knowledge, "handbook", [HANDBOOK])
    return settings.data_dir


@pytest.fixture
def settings(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    backend: Callable[[], dict[str, str]],
) -> Settings:
    copied = "ingested" if "handbook" in request.fixturenames and not ON_NODE else "migrated"
    folder = tmp_path_factory.mktemp("installation")
    return installation(folder, request.getfixturevalue(copied), **backend())


def installation(folder: Path, copied: Path, **more: str) -> Settings:
    """The settings of a new installation, whose data folder is a copy."""
    settings = load(
        {
            "SHENQIAO_DATA_DIR": str(folder / "data"),
            "SHENQIAO_RUN_DIR": str(folder / "r"),
            "SHENQIAO_MODEL_ENABLED": "false",
            **more,
        }
    )
    shutil.copytree(copied, settings.data_dir)
    settings.run_dir.mkdir(mode=0o700)
    return settings


@contextmanager
def opened(settings: Settings) -> Iterator[Knowledge]:
    knowledge = Knowledge.open(settings)
    yield knowledge
    knowledge.index.close()
    knowledge.catalogue.close()


@pytest.fixture
def knowledge(settings: Settings) -> Iterator[Knowledge]:
    with opened(settings) as knowledge:
        yield knowledge


@pytest.fixture
def handbook(knowledge: Knowledge) -> Knowledge:
    if ON_NODE:
        ingest(knowledge, "handbook", [HANDBOOK])
    return knowledge
