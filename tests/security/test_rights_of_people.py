"""Two departments and a group ask at once, a right is withdrawn in the middle: what the model got, what was shown.

The contacts are the platform stand-in's, the bases have rights by department and group, tickets and searches are real.
The model is the worst there is: it says whatever it was given.
"""

import itertools
import json
import os
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from playground.stage import ACCOUNT, Plan, Stage, open_stage
from tests.fakes.upstream import FakeUpstream
from tests.fakes.upstream import Plan as Answer
from tests.waiting import until
from tool_server import wake
from tool_server.channel.ledger import Ledger
from tool_server.channel.schema import messages
from tool_server.channel.surface import Incoming
from tool_server.database import Database
from tool_server.settings import Settings, load

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(1800 if "TEST_SOAK" in os.environ else 400)]

SOAK = os.environ.get("TEST_SOAK", "") not in ("", "0")
QUESTIONS = 1000 if SOAK else 40
AT_ONCE = 16
NUMBERS = itertools.count(1)
GROUP = "wrgroup1"
# What only the readers of each base may ever see.
CODES = {
    "sales": ("department:demo/2", "QINGZHU"),
    "finance": ("department:demo/3", "HONGMEI"),
    "team": (f"group:demo/{GROUP}", "ZILUOLAN"),
}
ORG = {
    "departments": {1: 0, 2: 1, 21: 2, 3: 1},
    "people": {"li": [21], "wang": [3], "chen": [2, 3], "guest": [1]},
}
TEXT = "# 项目代号\n\n{} 的项目代号是 {}。\n"
BEFORE = {"li": {"sales"}, "wang": {"finance"}, "chen": {"sales", "finance"}, "guest": set()}
# Li goes to finance, Chen leaves sales, the guest comes to sales.
MOVES = {"li": [3], "chen": [3], "guest": [2]}
AFTER = {"li": {"finance"}, "wang": {"finance"}, "chen": {"finance"}, "guest": {"sales"}}


@dataclass(frozen=True)
class Asked:
    """One question: its text is its name."""

    text: str
    user: str
    chat: str
    may_see: frozenset[str]


class Crowd:
    """Asks on a stage and looks at what became of it. Groups come by the ledger: an app's callbacks know none."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.settings: Settings = load(
            {"SHENQIAO_DATA_DIR": str(stage.data_dir), "SHENQIAO_MODEL_ENABLED": "false"}
        )
        self._database = Database.open(self.settings)
        self._ledger = Ledger.open(self._database, self.settings)
        self._numbers = itertools.count(1)
        self.asked: list[Asked] = []
        self._earlier = self._finished()

    def ask(self, user: str, chat: str, may_see: set[str]) -> None:
        number = next(NUMBERS)
        asked = Asked(f"项目代号是什么？第{number}次", user, chat, frozenset(may_see))
        self.asked.append(asked)
        if not chat:
            self.stage.send(user, asked.text)
            return
        incoming = Incoming(f"g{number}", f"g{number}", user, "text", asked.text, 1, chat=chat)
        self._ledger.claim(ACCOUNT, incoming, wait_until=0.0)
        wake.ring(self.settings.run_dir, "worker")

    def wait_until_few_are_open(self, few: int = 0) -> None:
        until(
            lambda: len(self.asked) + self._earlier - self._finished() <= few,
            120,
            self.stage.counts,
        )

    def _finished(self) -> int:
        ended = sa.select(sa.func.count()).where(
            messages.c.kind == "text", messages.c.state.in_(("done", "failed"))
        )
        return self._database.read(lambda db: db.scalar(ended)) or 0

    def runs(self) -> list[dict[str, Any]]:
        """Runs that have ended, by whatever way."""
        ours = {asked.text for asked in self.asked}
        return [run for run in self.stage.runs() if run["query"] in ours and run["finished_at"]]

    def move(self, user: str, departments: list[int]) -> None:
        """Change the contacts, and wait until the platform has told it."""
        told = len(self.stage.log_events("contacts.changed"))
        body = {"user": user, "departments": departments}
        url = f"{self.stage.platform_url}/playground/contacts"
        self.stage.http.post(url, json=body).raise_for_status()
        until(lambda: len(self.stage.log_events("contacts.changed")) > told)

    def close(self) -> None:
        self._database.close()


class Parrot(FakeUpstream):
    """Says every code that stands in its prompt, from passages or memory."""

    def take(self, body: dict[str, Any], name: str) -> Answer:
        said = " ".join(code for _, code in CODES.values() if code in json.dumps(body))
        return replace(super().take(body, name), deltas=({"content": said or "没有代号。"},))


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    model = Parrot()
    plan = Plan(
        tmp_path_factory.mktemp("rights"),
        settings={
            "SHENQIAO_CHANNEL_QUEUE_LIMIT": "100000",
            "SHENQIAO_MODEL_BACKEND": "upstream",
            "SHENQIAO_MODEL_UPSTREAM_URLS": model.url,
        },
        wechat={"org": ORG, "per_minute": 100_000, "per_hour": 1_000_000},
        relay=False,
    )
    with model, open_stage(plan) as stage:
        for base, (right, code) in CODES.items():
            _fill(stage, base, right, TEXT.format(base, code))
        yield stage


@pytest.fixture
def crowd(stage: Stage) -> Iterator[Crowd]:
    crowd = Crowd(stage)
    yield crowd
    crowd.close()


def _fill(stage: Stage, base: str, right: str, text: str) -> None:
    """A base of one document that only this right opens, from before the document comes."""
    restrict(stage, base, right)
    _upload(stage, base, text)


def _upload(stage: Stage, base: str, text: str, **fields: str) -> None:
    headers = {"Authorization": f"Bearer {stage.key('editor')}"}
    with httpx.Client(base_url=stage.server_url, headers=headers, timeout=30) as http:
        files = [("files", (f"{base}.md", text.encode()))]
        answer = http.post(f"/knowledge/bases/{base}/files", files=files, data=fields)
        job = answer.json()["job"]["id"]
        until(lambda: http.get(f"/knowledge/jobs/{job}").json()["job"]["state"] == "done")


def restrict(stage: Stage, base: str, right: str) -> None:
    headers = {"Authorization": f"Bearer {stage.key('editor')}"}
    url = f"{stage.server_url}/knowledge/bases/{base}"
    stage.http.put(url, json={"access": [right]}, headers=headers).raise_for_status()


def seen_in(run: dict[str, Any]) -> set[str]:
    """The bases whose codes stood in anything that the model was given: passages and memory."""
    given = str([request["prompt_messages"] for request in run["model_requests"]])
    return {base for base, (_, code) in CODES.items() if code in given}


def test_nobody_sees_what_they_may_not_see_also_not_by_memory(stage: Stage, crowd: Crowd) -> None:
    people = [(user, "") for user in BEFORE] + [("li", GROUP), ("wang", GROUP)]
    for number in range(QUESTIONS // 2):
        user, chat = people[number % len(people)]
        crowd.ask(user, chat, {"team"} if chat else BEFORE[user])
        crowd.wait_until_few_are_open(AT_ONCE)
    moved_at = time.time()
    for user, departments in MOVES.items():
        crowd.move(user, departments)
    for number in range(QUESTIONS // 2):
        user, chat = people[number % len(people)]
        crowd.ask(user, chat, {"team"} if chat else AFTER[user])
        crowd.wait_until_few_are_open(AT_ONCE)
    crowd.wait_until_few_are_open()

    runs = {run["query"]: run for run in crowd.runs()}
    assert len(runs) == len(crowd.asked) == QUESTIONS
    used: Counter[str] = Counter()
    for asked in crowd.asked:
        run = runs[asked.text]
        seen = seen_in(run)
        assert seen <= allowed(asked, run, moved_at), (asked, seen)
        used.update(seen)
    print(f"{QUESTIONS} questions; passages of {dict(used)} were given to the model")  # noqa: T201
    assert set(used) == set(CODES)
    _check_first_and_last(crowd, runs)
    _check_phones(crowd)


def allowed(asked: Asked, run: dict[str, Any], moved_at: float) -> set[str]:
    """What was in work while people moved may see what is new to them already; what came later, nothing old."""
    if asked.chat or run["finished_at"] < moved_at or asked.may_see == AFTER[asked.user]:
        return set(asked.may_see)
    return set(asked.may_see) | AFTER[asked.user]


def _check_first_and_last(crowd: Crowd, runs: dict[str, dict[str, Any]]) -> None:
    """Everybody saw all of theirs, before and after: rights were found, not only withheld. Memory went with them."""
    by_asker: dict[tuple[str, str], list[Asked]] = defaultdict(list)
    for asked in crowd.asked:
        by_asker[asked.user, asked.chat].append(asked)
    for (user, chat), of_one in by_asker.items():
        for asked in (of_one[0], of_one[-1]):
            assert seen_in(runs[asked.text]) == asked.may_see
        first, last = (runs[asked.text]["conversation_id"] for asked in (of_one[0], of_one[-1]))
        changed = not chat and BEFORE[user] != AFTER[user]
        assert (first != last) is changed, (user, chat)


def _check_phones(crowd: Crowd) -> None:
    """What was shown is what was said, and that held no code of another department."""
    for user, bases in BEFORE.items():
        allowed = bases | AFTER[user] | ({"team"} if user in ("li", "wang") else set())
        shown = str([entry["text"] for entry in crowd.stage.seen(user)])
        found = {base for base, (_, code) in CODES.items() if code in shown}
        assert found == allowed, user


def test_a_base_that_is_closed_does_not_come_back_by_memory(stage: Stage, crowd: Crowd) -> None:
    crowd.move("late", [3])
    crowd.ask("late", "", {"finance"})
    crowd.wait_until_few_are_open()
    restrict(stage, "finance", "department:demo/9")
    crowd.ask("late", "", set())
    crowd.wait_until_few_are_open()
    restrict(stage, "finance", CODES["finance"][0])
    before, after = crowd.runs()
    assert (seen_in(before), seen_in(after)) == ({"finance"}, set())
    assert before["conversation_id"] != after["conversation_id"]


def test_a_document_that_is_narrowed_does_not_come_back_by_memory(
    stage: Stage, crowd: Crowd
) -> None:
    text = TEXT.format("finance", CODES["finance"][1])
    crowd.move("later", [3])
    crowd.ask("later", "", {"finance"})
    crowd.wait_until_few_are_open()
    _upload(stage, "finance", text, access="department:demo/9")
    crowd.ask("later", "", set())
    crowd.wait_until_few_are_open()
    _upload(stage, "finance", text, access=CODES["finance"][0])
    before, after = crowd.runs()
    assert (seen_in(before), seen_in(after)) == ({"finance"}, set())
    assert before["conversation_id"] != after["conversation_id"]
