"""`docs/lifecycle.md` tells the truth: its functions exist, and real messages call them in its order."""

import ast
import time
from pathlib import Path

import pytest

from playground.stage import Stage
from tests.e2e.lifecycle import ROOT, all_steps, paths
from tests.reliability.kf import Customers
from tests.waiting import until, wait_for

MESSAGE, LATE, STREAM, SERVICE, QUESTION, TOKEN = list(paths())
TRIES = 5


@pytest.mark.parametrize("step", sorted(set(all_steps())))
def test_a_function_that_the_page_names_exists(step: str) -> None:
    path, _, name = step.partition(":")
    scope: list[ast.stmt] = ast.parse((ROOT / path).read_text()).body
    for part in name.split("."):
        found = [
            node
            for node in scope
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == part
        ]
        assert found, step
        scope = found[0].body


def calls_after(trace: Path, started_ns: int) -> list[str]:
    """The traced calls since then, in the order of their times."""
    whole, _, _ = trace.read_text().rpartition("\n")  # the last line may be on its way
    lines = (line.split(" ", 1) for line in whole.splitlines())
    return [name for at, name in sorted((int(at), name) for at, name in lines) if at >= started_ns]


def assert_takes(path: str, trace: Path, started_ns: int) -> None:
    """The steps of a path are called in its order; the last may still be to come when an answer is seen."""

    def missed() -> str:
        return out_of_order(paths()[path], calls_after(trace, started_ns))

    until(lambda: not missed(), why=missed)


def out_of_order(steps: list[str], calls: list[str]) -> str:
    """The first step that does not come after the one before it, each taken at its first call from there on."""
    at = 0
    for step in steps:
        if step not in calls[at:]:
            return f"{step} did not come after {calls[max(0, at - 1) : at]}"
        at = calls.index(step, at) + 1
    return ""


def test_a_message_in_time_takes_the_three_paths(stage: Stage, trace: Path, user: str) -> None:
    for _ in range(TRIES):  # on a busy machine an answer may come too late for this way
        started = time.time_ns()
        if stage.converse(user, "年假有几天？")["source"] == "passive":
            break
    else:
        pytest.fail(f"none of {TRIES} answers came in time")
    for path in (MESSAGE, QUESTION, TOKEN):
        assert_takes(path, trace, started)


def test_a_late_answer_takes_the_way_of_a_push(stage: Stage, trace: Path, user: str) -> None:
    stage.slow_runs(4.0, 1)
    started = time.time_ns()
    shown = stage.converse(user, "年假有几天？")
    assert shown["source"] == "push"
    wait_for(lambda: stage.timeline(shown["msg_id"])["message"]["state"] == "done")
    assert_takes(LATE, trace, started)


def test_an_answer_that_grows_takes_the_way_of_a_stream(
    stage: Stage, trace: Path, user: str
) -> None:
    stage.slow_runs(2.0, 1)
    started = time.time_ns()
    stage.send_bot(user, "年假有几天？")
    until(lambda: [entry for entry in stage.seen(user) if entry["finish"]])
    assert_takes(STREAM, trace, started)


def test_a_customers_message_takes_the_way_of_customer_service(
    customers: Customers, trace: Path, user: str
) -> None:
    started = time.time_ns()
    msgid = customers.say(user, "年假有几天？")
    until(lambda: customers.state(msgid) == "done")
    assert_takes(SERVICE, trace, started)
