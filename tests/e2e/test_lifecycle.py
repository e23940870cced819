"""`docs/lifecycle.md` tells the truth: its functions exist, and real messages call them in its order."""

import ast
import time
from pathlib import Path

import pytest

from playground.stage import Stage
from tests.e2e.lifecycle import ROOT, all_steps, paths

MESSAGE, LATE, QUESTION, TOKEN = list(paths())


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
    lines = (line.split(" ", 1) for line in trace.read_text().splitlines())
    return [name for at, name in sorted((int(at), name) for at, name in lines) if at >= started_ns]


def assert_in_order(steps: list[str], calls: list[str]) -> None:
    """Each step comes after the one before it, each taken at its first call from there on."""
    at = 0
    for step in steps:
        assert step in calls[at:], f"{step} did not come after {calls[max(0, at - 1) : at]}"
        at = calls.index(step, at) + 1


def test_a_message_in_time_takes_the_three_paths(stage: Stage, trace: Path, user: str) -> None:
    started = time.time_ns()
    assert stage.converse(user, "年假有几天？")["source"] == "passive"
    calls = calls_after(trace, started)
    for path in (MESSAGE, QUESTION, TOKEN):
        assert_in_order(paths()[path], calls)


def test_a_late_answer_takes_the_way_of_a_push(stage: Stage, trace: Path, user: str) -> None:
    stage.slow_runs(4.0, 1)
    started = time.time_ns()
    shown = stage.converse(user, "年假有几天？")
    assert shown["source"] == "push"
    deadline = time.monotonic() + 5
    while stage.timeline(shown["msg_id"])["message"]["state"] != "done":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert_in_order(paths()[LATE], calls_after(trace, started))
