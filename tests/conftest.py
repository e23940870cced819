"""What all tests share: with TEST_STRICT set (as in CI) a skipped test is a failed one; logging is each test's own.

Several processes run most tests at the same time; those marked `quiet` run afterwards, one by one.
"""

import logging
import os
import signal
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck
from hypothesis import settings as examples
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

STRICT = os.environ.get("TEST_STRICT", "") not in ("", "0")
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
END_TO_END = "tests/e2e/"
if WORKER:
    # The cores are taken by other tests: more threads of a model, here and in servers, would only wait for each other.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# How long one example takes tells more of the machine than of the code.
examples.register_profile("ours", deadline=None, suppress_health_check=[HealthCheck.too_slow])
examples.load_profile("ours")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """The folders of a worker get short names: the paths of sockets have a greatest length.

    A shell lets what it starts in the background ignore Ctrl-C; so would all that the tests start, and send it to.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if WORKER:
        folder = Path(config.option.basetemp)
        config.option.basetemp = folder.with_name(folder.name.removeprefix("popen-gw"))


class ByStage(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """What shares a stage runs in one process: the tests of a file, and all end-to-end tests."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return END_TO_END if path.startswith(END_TO_END) else path


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByStage | None:
    return ByStage(config, log) if config.getvalue("dist") == "loadscope" else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if STRICT and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may be skipped: {_reason(report.longrepr)}"
    return report


def _reason(longrepr: Any) -> str:
    return str(longrepr[2]) if isinstance(longrepr, tuple) else str(longrepr)


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with this version's tables, to be copied: that is much faster than to make them again."""
    from tool_server.migrate import migrate
    from tool_server.settings import load

    folder = tmp_path_factory.mktemp("migrated")
    names = {"DATA_DIR": str(folder / "data"), "RUN_DIR": str(folder / "r"), "MODEL_ENABLED": "no"}
    settings = load({f"SHENQIAO_{name}": value for name, value in names.items()})
    migrate(settings)
    return settings.data_dir


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    """What a test, or a command that it runs, sets up for the whole process is taken back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()
