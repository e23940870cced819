"""Real Elasticsearch nodes, each started once for all tests that ask for it, and installations that search in one."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.real.node import NEWEST, Missing, Node, java_home, running
from tool_server.knowledge.search import Knowledge
from tool_server.migrate import migrate
from tool_server.settings import Settings, load

type Open = Callable[..., Knowledge]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    mine = [item for item in items if Path(__file__).parent in item.path.parents]
    for item in mine:
        item.add_marker("real")
    # Debian 12 has no JDK that Elasticsearch 9 runs on, so these tests are for machines with another one.
    newer = [item for item in mine if "newest" in getattr(item, "fixturenames", ())]
    if newer and without_jdk(NEWEST):
        config.hook.pytest_deselected(items=newer)
        items[:] = [item for item in items if item not in newer]


def without_jdk(version: str) -> bool:
    try:
        java_home(version)
    except Missing:
        return True
    return False


@contextmanager
def started(*version: str, secured: bool = False) -> Iterator[Node]:
    """A node; what it lacks on this machine skips the test with the reason."""
    with ExitStack() as stack:
        try:
            node = stack.enter_context(running(*version, secured=secured))
        except Missing as error:
            pytest.skip(str(error))
        yield node


@pytest.fixture(scope="session")
def node() -> Iterator[Node]:
    """Without security; shared by many tests, each with a prefix of its own."""
    with started() as node:
        yield node


@pytest.fixture(scope="module")
def secured() -> Iterator[Node]:
    """HTTPS, users, roles, API keys."""
    with started(secured=True) as node:
        yield node


@pytest.fixture
def newest() -> Iterator[Node]:
    with started(NEWEST) as node:
        yield node


@pytest.fixture
def fragile() -> Iterator[Node]:
    """A node of one test's own, to be stopped or killed."""
    with started() as node:
        yield node


@pytest.fixture
def prefix() -> str:
    return f"t{os.urandom(5).hex()}"


@pytest.fixture
def settings_of(tmp_path: Path, prefix: str) -> Callable[..., Settings]:
    """An installation's settings, with changes as in the environment."""

    def make(url: str, folder: str = "a", **changes: str) -> Settings:
        settings = load(
            {
                "SHENQIAO_DATA_DIR": str(tmp_path / folder),
                "SHENQIAO_RUN_DIR": str(tmp_path / "r"),
                "SHENQIAO_MODEL_ENABLED": "false",
                "SHENQIAO_KNOWLEDGE_BACKEND": "elasticsearch",
                "SHENQIAO_KNOWLEDGE_ELASTICSEARCH_URLS": url,
                "SHENQIAO_KNOWLEDGE_ELASTICSEARCH_PREFIX": prefix,
                **changes,
            }
        )
        migrate(settings)
        return settings

    return make


@pytest.fixture
def opened(settings_of: Callable[..., Settings]) -> Iterator[Open]:
    """Opens an installation; all are closed at the end."""
    with ExitStack() as stack:

        def open_(url: str, folder: str = "a", **changes: str) -> Knowledge:
            knowledge = Knowledge.open(settings_of(url, folder, **changes))
            stack.callback(knowledge.catalogue.close)
            stack.callback(knowledge.index.close)
            return knowledge

        yield open_
