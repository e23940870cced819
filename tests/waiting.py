"""Waiting for what other processes and threads do; for all tests."""

import time
from collections.abc import Callable
from typing import Any


def wait_for(
    condition: Callable[[], Any], timeout_s: float = 30.0, why: Callable[[], Any] = lambda: ""
) -> float:
    """Seconds until the condition held; past the time the test fails and tells what `why` finds."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() < started + timeout_s, f"it did not happen in time: {why()}"
        time.sleep(0.01)
    return time.monotonic() - started
