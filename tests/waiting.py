"""Waiting for what other processes and threads do; for all tests."""

import time
from collections.abc import Callable
from typing import Any

# No promise, only longer than anything takes on a busy machine: a test of a promise gives its own time.
PATIENCE_S = 90.0


def until(
    condition: Callable[[], Any], timeout_s: float = PATIENCE_S, why: Callable[[], Any] = lambda: ""
) -> Any:
    """What the condition gives once it is true; past the time the test fails and tells what `why` finds."""
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline, f"it did not happen in time: {why()}"
        time.sleep(0.01)
    return found


def wait_for(
    condition: Callable[[], Any], timeout_s: float = PATIENCE_S, why: Callable[[], Any] = lambda: ""
) -> float:
    """Seconds until the condition held; fails as `until` does."""
    started = time.monotonic()
    until(condition, timeout_s, why)
    return time.monotonic() - started
