"""A stage for kills: the real tool server (channel only), the platform simulator, and a scripted Dify app."""

from collections.abc import Iterator

import pytest

from playground.stage import Plan, Stage, open_stage
from tests.fakes.dify import KEY, FakeDify


@pytest.fixture(scope="module")
def dify() -> Iterator[FakeDify]:
    with FakeDify() as dify:
        yield dify


@pytest.fixture(scope="module")
def stage(dify: FakeDify, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    plan = Plan(
        tmp_path_factory.mktemp("stage"),
        model=False,
        knowledge=False,
        dify_url=dify.url,
        dify_key=KEY,
        settings={
            "SHENQIAO_CHANNEL_SWEEP_AFTER_S": "5",
            "SHENQIAO_CHANNEL_WAIT_S": "2.0",
            "SHENQIAO_CHANNEL_APP_KEEP_S": "0",
        },
        wechat={"gap_s": 0.3, "per_minute": 100000, "per_hour": 1000000},
    )
    with open_stage(plan) as stage:
        yield stage


@pytest.fixture(autouse=True)
def _clean(dify: FakeDify) -> None:
    dify.scripts.clear()
    dify.runs.clear()
    dify.features = {}
