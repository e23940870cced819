"""Waiting for what the stage does, and reading what came of it; for the tests beside this file."""

import itertools
import time
from typing import Any

import httpx

from playground.stage import Stage
from tests.waiting import wait_for

USERS = (f"reliable{number:03d}" for number in itertools.count())


def answers(stage: Stage, user: str) -> list[str]:
    return [entry["text"] for entry in stage.seen(user) if entry["source"] in ("passive", "push")]


def state(stage: Stage, msg_id: str) -> str:
    """A message's state in the ledger; empty before it is claimed."""
    try:
        return str(stage.timeline(msg_id)["message"]["state"])
    except httpx.HTTPError:  # the web process may be the one that was killed
        return ""


def events(stage: Stage, msg_id: str) -> list[str]:
    """Names of what happened to a message so far."""
    if not state(stage, msg_id):
        return []
    return [event["name"] for event in stage.timeline(msg_id)["events"]]


def settle_down(stage: Stage, user: str, msg_id: str) -> dict[str, Any]:
    """Wait until the message is done and whatever could come twice has come; its life."""
    wait_for(lambda: state(stage, msg_id) == "done")
    wait_for(lambda: answers(stage, user))
    time.sleep(0.8)
    return stage.timeline(msg_id)


def reasons(timeline: dict[str, Any]) -> list[str]:
    """Why the app was asked again, for each run after the first."""
    started = [event["data"] for event in timeline["events"] if event["name"] == "run.started"]
    return [data["again"] for data in started if data["again"]]
