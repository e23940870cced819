"""The loop behind the socket: a manager that died is replaced on the same weights."""

import gc
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.waiting import PATIENCE_S, wait_for
from tool_server.model.engine import attention
from tool_server.model.engine.batches import Batches
from tool_server.model.engine.load import load
from tool_server.model.engine.picker import Picker
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
            assert self.changed.wait_for(lambda: name in self.finished, PATIENCE_S)
        return self.finished[name]


@pytest.fixture
def loop(checkpoint: Path, tmp_path: Path) -> Iterator[Batches]:
    settings = load_settings(
        {
            "SHENQIAO_DATA_DIR": str(tmp_path),
            "SHENQIAO_MODEL_PATH": str(checkpoint),
            "SHENQIAO_MODEL_PAGES": "64",
            "SHENQIAO_MODEL_MAX_RUNNING": "2",
            "SHENQIAO_MODEL_MAX_QUEUED": "0",
        }
    )
    model = load(settings)
    attention.use(model)
    loop = Batches(model, settings, lambda owner, step: owner.take(step))  # type: ignore[attr-defined]
    gc.collect()
    gc.freeze()  # an engine's process has not imported all that this one has, and collects in no time
    yield loop
    loop.stop()
    gc.unfreeze()


def submit(loop: Batches, name: str, owner: Owner, tokens: int = 8) -> Accepted | Refused:
    request = Submit(name, [10, 11, 12], tokens, 0.0, 1.0)
    return loop.submit(request, Picker(request), owner)


def kill_by_a_duplicate(loop: Batches) -> None:
    for _ in range(2):
        loop._manager.add_request([1, 2, 3], request_id="first", max_new_tokens=9)  # type: ignore[union-attr]


def kill_by_an_endless_prompt(loop: Batches) -> None:
    loop._manager.add_request([1] * 5000, request_id="long", max_new_tokens=9)  # type: ignore[union-attr]


def kill_by_a_step_that_fails(loop: Batches) -> None:
    loop._model.lm_head.forward = None
    loop._manager.add_request([1, 2, 3], request_id="step", max_new_tokens=9)  # type: ignore[union-attr]


@pytest.mark.quiet
@pytest.mark.parametrize(
    "kill", [kill_by_a_duplicate, kill_by_an_endless_prompt, kill_by_a_step_that_fails]
)
def test_a_loop_that_died_is_back_within_two_seconds_and_its_requests_are_told(
    loop: Batches, kill: Callable[[Batches], None]
) -> None:
    owner = Owner()
    assert submit(loop, "first", owner, 200) == Accepted("first")
    kill(loop)
    wait_for(lambda: not loop._manager.is_running())  # type: ignore[union-attr]
    started = time.monotonic()
    assert owner.wait("first") in ("error", "length")
    loop._model.lm_head.__dict__.pop("forward", None)
    assert isinstance(submit(loop, "meanwhile", owner), Refused)
    loop.watch()
    assert submit(loop, "next", owner) == Accepted("next")
    assert owner.wait("next") == "length"
    assert time.monotonic() - started < 2
    assert loop.restarts == 1


def test_an_id_in_use_is_refused(loop: Batches) -> None:
    owner = Owner()
    assert submit(loop, "one", owner, 300) == Accepted("one")
    assert isinstance(submit(loop, "one", owner), Refused)
    assert owner.wait("one") == "length"


def test_a_cancelled_request_frees_its_place_at_once(loop: Batches) -> None:
    owner = Owner()
    for name in ("a", "b"):
        submit(loop, name, owner, 400)
    full = submit(loop, "c", owner)
    assert isinstance(full, Refused)
    assert full.code == "busy"
    for name in loop.requests.of(owner):
        loop.cancel(name)
    assert len(loop.requests) == 0
    assert submit(loop, "c", owner) == Accepted("c")
    assert owner.wait("c") == "length"


def test_a_request_that_came_while_the_loop_was_dying_is_told(loop: Batches) -> None:
    owner = Owner()
    kill_by_a_step_that_fails(loop)
    wait_for(lambda: not loop._manager.is_running())  # type: ignore[union-attr]
    loop._model.lm_head.__dict__.pop("forward", None)
    late = Submit("late", [10, 11], 8, 0.0, 1.0)
    assert loop.requests.enter(late, Picker(late), owner) is None
    loop.watch()
    assert owner.wait("late") == "error"
    assert len(loop.requests) == 0
