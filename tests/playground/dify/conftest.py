"""One tool server by script and one pair of packages for all tests of the workflow files."""

from collections.abc import Iterator

import pytest

from tests.playground.dify.apps import Apps, ScriptedServer


@pytest.fixture(scope="package")
def scripted() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


@pytest.fixture(scope="package")
def started_apps(
    scripted: ScriptedServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Apps]:
    scripted.reset()
    with Apps(scripted.url, tmp_path_factory.mktemp("logs")) as apps:
        yield apps


@pytest.fixture
def apps(started_apps: Apps, scripted: ScriptedServer) -> Iterator[Apps]:
    scripted.reset()
    yield started_apps
    scripted.reset()
