"""Stages with a scripted Dify app, on SQLite or a real PostgreSQL; and what the soaks beside this file share."""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from playground.stage import Plan, Stage, open_stage
from tests.fakes.dify import KEY, FakeDify
from tests.postgres import Missing, running
from tests.waiting import wait_for

SOAK = os.environ.get("TEST_SOAK", "") not in ("", "0")
DATABASES = ("sqlite", "postgresql")


@contextmanager
def stage_on(
    database: str,
    folder: Path,
    settings: Mapping[str, str],
    wechat: Mapping[str, Any] | None = None,
) -> Iterator[tuple[Stage, FakeDify]]:
    """Tool server (channel only), simulator and app; settings without their prefix."""
    if database == "postgresql":
        try:
            with running(durable=True) as server:
                url = server.new_database()
                with stage_on("", folder, {**settings, "database_url": url}, wechat) as opened:
                    yield opened
        except Missing as error:
            pytest.skip(str(error))
        return
    with FakeDify() as dify:
        plan = Plan(
            folder,
            model=False,
            knowledge=False,
            dify_url=dify.url,
            dify_key=KEY,
            settings={f"SHENQIAO_{name.upper()}": value for name, value in settings.items()},
            wechat={"gap_s": 0.3, "per_minute": 10**6, "per_hour": 10**7, **(wechat or {})},
        )
        with open_stage(plan) as stage:
            yield stage, dify


def tell(text: str) -> None:
    """A figure of a soak, with how busy the machine was."""
    load = os.getloadavg()[0]
    print(f"\n  {text} (load average {load:.1f})", flush=True)  # noqa: T201  (soaks are read)


def settle(stage: Stage, messages: int, timeout_s: float) -> None:
    """Until the ledger has so many messages and none of them waits for anything."""
    wait_for(lambda: _done(stage) >= messages, timeout_s, lambda: stage.counts())
    time.sleep(1.0)  # what might come twice comes now


def _done(stage: Stage) -> int:
    """Messages in the ledger, once none of them waits for a worker."""
    claimed = len({event["message"] for event in stage.log_events("message.claimed")})
    return 0 if unfinished(stage) != {} else claimed


def unfinished(stage: Stage) -> dict[str, int] | None:
    """What the workers' heartbeats say; None where they say nothing."""
    try:
        answer = stage.http.get(f"{stage.server_url}/health/ready").json()
    except httpx.HTTPError:  # the web is being restarted
        return None
    state = answer["checks"]["worker"]["state"]
    return None if isinstance(state, str) else state.get("unfinished")


def agree(stage: Stage) -> str:
    """`shenqiao reconcile` finds no difference; its table's last line."""
    done = stage.reconcile()
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    return next(line for line in reversed(done.stdout.splitlines()) if line.startswith("total"))
