"""Stages with a scripted Dify app, on SQLite or a real PostgreSQL; and what the soaks beside this file share."""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from playground.stage import Plan, Stage, open_stage
from tests.fakes.dify import KEY, FakeDify
from tests.postgres import Missing, running
from tests.waiting import wait_for
from tool_server import heartbeats
from tool_server.settings import load

SOAK = os.environ.get("TEST_SOAK", "") not in ("", "0")
DATABASES = ("sqlite", "postgresql")


@contextmanager
def stage_on(
    database: str,
    folder: Path,
    settings: Mapping[str, str],
    wechat: Mapping[str, Any] | None = None,
    *,
    model: bool = False,
) -> Iterator[tuple[Stage, FakeDify]]:
    """Tool server (channel, and `model`), simulator and app; settings without their prefix."""
    if database == "postgresql":
        try:
            with running(durable=True) as server:
                url = server.new_database()
                on = {**settings, "database_url": url}
                with stage_on("", folder, on, wechat, model=model) as opened:
                    yield opened
        except Missing as error:
            pytest.skip(str(error))
        return
    with FakeDify() as dify:
        plan = Plan(
            folder,
            model=model,
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
    wait_for(lambda: _claimed(stage) >= messages, timeout_s, stage.counts)
    claimed_at = time.time()
    wait_for(lambda: _idle_since(stage, claimed_at), timeout_s, stage.counts)
    time.sleep(1.0)  # what might come twice comes now


def _claimed(stage: Stage) -> int:
    return len({event["message"] for event in stage.log_events("message.claimed")})


def _idle_since(stage: Stage, moment: float) -> bool:
    """Whether a worker has said after `moment` that no message waits; what it said before may be about others."""
    settings = load({"SHENQIAO_DATA_DIR": str(stage.data_dir), "SHENQIAO_MODEL_ENABLED": "no"})
    beats = [b for b in heartbeats.read(settings.run_dir) if b.name.startswith("worker")]
    return any(beat.at > moment and beat.state.get("unfinished") == {} for beat in beats)


def agree(stage: Stage) -> str:
    """`shenqiao reconcile` finds no difference; its table's last line."""
    done = stage.reconcile()
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    return next(line for line in reversed(done.stdout.splitlines()) if line.startswith("total"))
