"""The whole product on a stage, once for all end-to-end tests; its calls are traced for the lifecycle test."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from playground.stage import Plan, Stage, open_stage
from tests.e2e.lifecycle import ROOT, all_steps
from tests.reliability.kf import Customers, connect, kf_section

NUMBERS = itertools.count()
KF = kf_section(limits={})


@pytest.fixture(scope="session")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("trace") / "calls"


@pytest.fixture(scope="session")
def stage(trace: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    plan = Plan(
        tmp_path_factory.mktemp("stage"),
        settings={"SHENQIAO_CHANNEL_SWEEP_AFTER_S": "5"},
        wechat={"gap_s": 0.5, "per_minute": 100000, "per_hour": 1000000, "kf": KF},
        bot={"limits": {"refresh_s": 0.2}},
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT / "tests" / "tracing"), prepend=os.pathsep)
        patch.setenv("TRACE_FILE", str(trace))
        patch.setenv("TRACE_ROOT", str(ROOT))
        patch.setenv("TRACE_NAMES", ",".join(all_steps()))
        with open_stage(plan) as stage:
            yield stage


@pytest.fixture
def user(stage: Stage) -> str:
    stage.wait_ready()
    return f"person{next(NUMBERS):03d}"


@pytest.fixture(scope="session")
def customers(stage: Stage) -> Customers:
    """Customer service beside the app."""
    return connect(stage, KF["token"])
