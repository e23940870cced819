"""The one thread that runs forwards: micro-batches of encoders, everything else one item at a time, kinds in turn.

A long recording is many items, so that embeddings of other requests are made between two of its parts.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import structlog

from tool_server.model.aux.batches import pack
from tool_server.model.aux.kinds import KINDS, Kind
from tool_server.model.aux.work import Item, Job, Runner

log = structlog.get_logger()

FAILED = "The model failed at this request; the server's log says why."


class Executor:
    """`put` from any thread; jobs are answered on the executor's own thread."""

    def __init__(
        self,
        runner: Callable[[Kind], Runner | None],
        *,
        gate: AbstractContextManager[object],
        window_s: float,
        batch_tokens: int,
        observe: Callable[[Kind, int], None] = lambda _kind, _items: None,
    ) -> None:
        self._runner = runner
        self._gate = gate
        self._window_s = window_s
        self._batch_tokens = batch_tokens
        self._observe = observe
        self._waiting: dict[Kind, list[Item]] = {kind: [] for kind in KINDS}
        self._planned: dict[Kind, deque[list[Item]]] = {kind: deque() for kind in KINDS}
        self._turns: deque[Kind] = deque(KINDS)
        self._changed = threading.Condition()

    def start(self) -> None:
        threading.Thread(target=self._work, name="executor", daemon=True).start()

    def put(self, job: Job) -> None:
        with self._changed:
            self._waiting[job.kind].extend(job.items)
            self._changed.notify()

    def _work(self) -> None:
        while True:
            kind, batch = self._next()
            batch = [item for item in batch if not item.job.ended]
            try:
                if batch:
                    self._forward(kind, batch)
            except Exception as error:  # a rim: this thread serves everybody
                log.critical("aux.executor_fault", kind=kind, exc_info=error)

    def _next(self) -> tuple[Kind, list[Item]]:
        """The next batch, of the kind whose turn it is."""
        with self._changed:
            while True:
                now = time.monotonic()
                for kind in KINDS:
                    self._plan(kind, now)
                for kind in tuple(self._turns):
                    if self._planned[kind]:
                        self._turns.remove(kind)
                        self._turns.append(kind)
                        return kind, self._planned[kind].popleft()
                self._changed.wait(self._until_ripe(now))

    def _plan(self, kind: Kind, now: float) -> None:
        """Divide what waits into batches, once its window is over; those that come later are planned after them."""
        waiting = self._waiting[kind]
        if self._planned[kind] or not waiting:
            return
        runner = self._runner(kind)
        if runner is None or not runner.batched:
            self._planned[kind].extend([item] for item in waiting)
        elif self._ripe_in(waiting, now) <= 0:
            self._planned[kind].extend(pack(waiting, self._batch_tokens))
        else:
            return
        self._waiting[kind] = []

    def _ripe_in(self, waiting: Sequence[Item], now: float) -> float:
        """Seconds until these go; a full batch need not wait."""
        if sum(item.length for item in waiting) >= self._batch_tokens:
            return 0.0
        return waiting[0].since + self._window_s - now

    def _until_ripe(self, now: float) -> float | None:
        waits = [self._ripe_in(waiting, now) for waiting in self._waiting.values() if waiting]
        return max(0.0, min(waits)) if waits else None

    def _forward(self, kind: Kind, batch: list[Item]) -> None:
        """Run a batch; where it fails its items run alone, so that one request's fault is not another's."""
        runner = self._runner(kind)
        try:
            if runner is None:
                raise RuntimeError("the model is not loaded")
            with self._gate:
                results = runner.run([item.payload for item in batch])
        except (
            Exception
        ) as error:  # a rim: whatever a model raises ends its request, not the process
            self._fail(kind, batch, error)
            return
        self._observe(kind, len(batch))
        for item, result in zip(batch, results, strict=True):
            item.job.done(item, result)

    def _fail(self, kind: Kind, batch: list[Item], error: Exception) -> None:
        if "CUDA error" in str(
            error
        ):  # the device's context is lost; only a new process mends that
            log.critical("aux.device_lost", kind=kind, exc_info=error)
            os._exit(1)
        if len(batch) > 1:
            for item in batch:
                self._forward(kind, [item])
            return
        log.error("aux.forward_failed", kind=kind, id=batch[0].job.id, exc_info=error)
        batch[0].job.refuse("failed", FAILED)
