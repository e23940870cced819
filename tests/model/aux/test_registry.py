"""The registry's decisions, with models that weigh what the test says and load when it says."""

import threading
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest

from tests.waiting import wait_for
from tool_server.model.aux.batches import pack
from tool_server.model.aux.executor import Executor
from tool_server.model.aux.kinds import Kind
from tool_server.model.aux.registry import Limits, Registry
from tool_server.model.aux.wire import Answer, Refused, Scores
from tool_server.model.aux.work import Job, Text


class Model:
    """Gives each text its length; a text of 13 tokens is more than it can bear."""

    batched = True
    weight_bytes = 40

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    def refusal(self, item: Any) -> str | None:
        return None

    def run(self, items: Sequence[Any]) -> list[Any]:
        lengths = [len(item.tokens) for item in items]
        self.batches.append(lengths)
        if 13 in lengths:
            raise ValueError("thirteen")
        return lengths


def registry(load: Callable[[Kind], Model], budget: int = 100, idle_s: float = 0) -> Registry:
    requests: dict[Kind, int] = {"embedding": 4, "rerank": 4, "guard": 4}
    made = Registry(Limits(budget, idle_s, requests, 1000), lambda _kind: 40, load)
    made.start()
    return made


def admit(registry: Registry, kind: Kind, tokens: int = 1) -> bool:
    return not isinstance(registry.admit("x", kind, tokens), Refused)


def use(registry: Registry, kind: Kind) -> None:
    wait_for(lambda: admit(registry, kind))
    registry.done(kind, 1)


def test_the_one_that_was_not_used_for_longest_goes_first() -> None:
    models = registry(lambda _kind: Model())
    for kind in ("embedding", "rerank", "embedding", "guard"):
        use(models, kind)
    assert {kind: slot.state for kind, slot in models.slots.items()} == {
        "embedding": "ready",
        "rerank": "absent",
        "guard": "ready",
    }
    assert models.used_bytes == 80


def test_a_model_at_work_leaves_when_it_is_done() -> None:
    models = registry(lambda _kind: Model(), budget=50)
    wait_for(lambda: admit(models, "embedding"))
    assert not admit(models, "rerank")
    time.sleep(0.05)
    assert models.runner("embedding") is not None
    assert not admit(models, "embedding")  # no new work for one that leaves
    models.done("embedding", 1)
    use(models, "rerank")
    assert models.runner("embedding") is None


def test_a_load_never_holds_up_a_request() -> None:
    go = threading.Event()

    def load(_kind: Kind) -> Model:
        assert go.wait(90)
        return Model()

    models = registry(load)
    refused = models.admit("x", "guard", 1)
    assert isinstance(refused, Refused)
    assert (refused.code, refused.retry_after_s > 0) == ("loading", True)
    go.set()
    use(models, "guard")


def test_a_load_that_failed_is_tried_again_after_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tool_server.model.aux.registry.FIRST_PAUSE_S", 0.2)
    loads: list[float] = []

    def load(_kind: Kind) -> Model:
        loads.append(time.monotonic())
        if len(loads) < 3:
            raise OSError("no such file")
        return Model()

    models = registry(load)
    use(models, "guard")
    pauses = [after - before for before, after in pairwise(loads)]
    assert len(pauses) == 2
    assert pauses[0] >= 0.2
    assert pauses[1] >= 0.4


def test_what_nobody_uses_is_unloaded() -> None:
    models = registry(lambda _kind: Model(), idle_s=60)
    use(models, "guard")
    models.unload_idle()
    assert models.runner("guard") is not None
    models.slots["guard"].used_at -= 61
    models.unload_idle()
    assert models.runner("guard") is None
    use(models, "guard")


def test_places_and_tokens_are_bounded() -> None:
    models = registry(lambda _kind: Model())
    wait_for(lambda: admit(models, "guard", 2000))  # alone it may be as large as it is
    refused = models.admit("x", "guard", 1)
    assert isinstance(refused, Refused)
    assert refused.code == "busy"
    models.done("guard", 2000)
    assert [admit(models, "guard") for _ in range(5)] == [True, True, True, True, False]


class Asked:
    """Jobs of one test, and their answers."""

    def __init__(self, model: Model, budget: int = 1000) -> None:
        self.answers: dict[str, Answer | None] = {}
        self.executor = Executor(
            lambda _kind: model,
            gate=threading.Lock(),
            window_s=0.05,
            batch_tokens=budget,
        )

    def job(self, name: str, *lengths: int) -> Job:
        job = Job(name, "rerank", tokens=sum(lengths), build=Scores, end=self._end)
        job.divide([Text([1] * length) for length in lengths])
        return job

    def _end(self, job: Job, answer: Answer | None) -> None:
        self.answers[job.id] = answer


def test_texts_of_several_requests_share_a_forward_and_go_back_to_their_own() -> None:
    model = Model()
    asked = Asked(model)
    asked.executor.put(asked.job("a", 5, 2))
    asked.executor.put(asked.job("b", 3))
    asked.executor.start()
    wait_for(lambda: len(asked.answers) == 2)
    assert asked.answers == {"a": Scores("a", [5, 2]), "b": Scores("b", [3])}
    assert model.batches == [[2, 3, 5]]


def test_one_bad_text_fails_its_own_request_only() -> None:
    asked = Asked(Model())
    asked.executor.start()
    asked.executor.put(asked.job("good", 5))
    asked.executor.put(asked.job("bad", 13, 4))
    wait_for(lambda: len(asked.answers) == 2)
    assert asked.answers["good"] == Scores("good", [5])
    refused = asked.answers["bad"]
    assert isinstance(refused, Refused)
    assert refused.code == "failed"


def test_nothing_is_run_for_one_who_left() -> None:
    model = Model()
    asked = Asked(model)
    job = asked.job("gone", 5)
    asked.executor.put(job)
    asked.executor.put(asked.job("here", 3))
    job.finish(None)
    asked.executor.start()
    wait_for(lambda: len(asked.answers) == 2)
    assert asked.answers["gone"] is None
    assert model.batches == [[3]]


def test_batches_are_of_similar_length_within_the_budget() -> None:
    job = Asked(Model()).job("a", 50, 2, 3, 200, 4, 49)
    lengths = [[item.length for item in batch] for batch in pack(job.items, 100)]
    assert lengths == [[2, 3, 4], [49, 50], [200]]
