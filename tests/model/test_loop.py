"""The loop behind the socket: a manager that died is replaced on the same weights."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tool_server.model.engine.load import load
from tool_server.model.engine.loop import Loop
from tool_server.model.wire import Accepted, Refused, Step, Submit
from tool_server.settings import load as load_settings


class Owner:
    """Collects what the loop delivers."""

    def __init__(self) -> None:
        self.finished: dict[str, str] = {}
        self.tokens = 0
        self.changed = threading.Condition()

    def take(self, step: Step) -> None:
        with self.changed:
            self.tokens += sum(len(new) for new in step.tokens.values())
            self.finished |= {name: end.reason for name, end in step.finished.items()}
            self.changed.notify_all()

    def wait(self, name: str) -> str:
        with self.changed:
            assert self.changed.wait_for(lambda: name in self.finished, 20)
        return self.finished[name]


@pytest.fixture
def loop(checkpoint: Path, tmp_path: Path) -> Iterator[Loop]:
    settings = load_settings(
        {
            "SHENQIAO_DATA_DIR": str(tmp_path),
            "SHENQIAO_MODEL_PATH": str(checkpoint),
            "SHENQIAO_MODEL_PAGES": "64",
            "SHENQIAO_MODEL_MAX_RUNNING": "2",
            "SHENQIAO_MODEL_MAX_QUEUED": "0",
        }
    )
    loop = Loop(load(settings), settings, lambda owner, step: owner.take(step))  # type: ignore[attr-defined]
    yield loop
    loop.stop()


def request(name: str, tokens: int = 8) -> Submit:
    return Submit(name, [10, 11, 12], tokens, 0.0, 1.0)


def test_a_loop_that_died_is_back_within_two_seconds_and_its_requests_are_told(loop: Loop) -> None:
    owner = Owner()
    assert loop.submit(request("long", 400), owner) == Accepted("long")
    # A temperature of 0 divides by zero, and ends transformers' loop.
    loop._manager.add_request([1, 2, 3], request_id="bad", max_new_tokens=9, temperature=0.0)
    assert owner.wait("long") == "error"
    started = time.monotonic()
    while loop._manager.is_running():
        time.sleep(0.01)
    loop.watch()
    assert loop.submit(request("next"), owner) == Accepted("next")
    assert owner.wait("next") == "length"
    assert time.monotonic() - started < 2
    assert loop.restarts == 1


def test_an_id_in_use_is_refused(loop: Loop) -> None:
    owner = Owner()
    assert loop.submit(request("one", 300), owner) == Accepted("one")
    assert isinstance(loop.submit(request("one"), owner), Refused)
    assert owner.wait("one") == "length"


def test_a_cancelled_request_frees_its_place_at_once(loop: Loop) -> None:
    owner = Owner()
    for name in ("a", "b"):
        loop.submit(request(name, 400), owner)
    full = loop.submit(request("c"), owner)
    assert isinstance(full, Refused)
    assert full.code == "busy"
    loop.cancel_all_of(owner)
    assert loop.active == 0
    assert loop.submit(request("c"), owner) == Accepted("c")
    assert owner.wait("c") == "length"
