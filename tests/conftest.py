"""What all tests share: with TEST_STRICT set (as in CI) a skipped test is a failed one; logging is each test's own."""

import logging
import os
from collections.abc import Generator, Iterator
from typing import Any

import pytest
import structlog

STRICT = os.environ.get("TEST_STRICT", "") not in ("", "0")


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


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    """What a test, or a command that it runs, sets up for the whole process is taken back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()
