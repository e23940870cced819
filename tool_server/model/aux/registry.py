"""Which auxiliary models are in memory: loaded in the background when first asked for, within a budget of bytes.

A request never waits for a load: it is refused with the seconds after which to come back. The least recently used model
makes room, once the requests that it works on are answered.
"""

import contextlib
import gc
import math
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from tool_server.model.aux.kinds import KINDS, Kind
from tool_server.model.aux.wire import Refused
from tool_server.model.aux.work import Runner

log = structlog.get_logger()

# What a load is taken to last until one was measured.
USUAL_LOAD_S = 10.0
FIRST_PAUSE_S = 5.0
LONGEST_PAUSE_S = 300.0
FAILED = "The {kind} model could not be loaded; the server's log says why."
LOADING = "The {kind} model is being loaded; try again in a moment."
BUSY = "All places of the {kind} model are taken; try again in a moment."


@dataclass(frozen=True)
class Limits:
    """What one kind may hold, and all of them together."""

    budget_bytes: int
    idle_s: float
    requests: dict[Kind, int]
    tokens: int


@dataclass
class Slot:
    """The state of one kind. `runner` is there exactly while its weights are in memory."""

    state: str = "absent"  # absent, loading, ready, leaving, failed
    runner: Runner | None = None
    weight_bytes: int = 0
    jobs: int = 0
    tokens: int = 0
    used_at: float = 0.0
    load_s: float = USUAL_LOAD_S
    began_at: float = 0.0
    pause_s: float = 0.0
    retry_at: float = 0.0


class Registry:
    """The slots; `measure` tells a model's bytes before it is loaded, `load` brings it into memory."""

    def __init__(
        self,
        limits: Limits,
        measure: Callable[[Kind], int],
        load: Callable[[Kind], Runner],
        *,
        release: Callable[[], object] = gc.collect,
        note: Callable[[Kind, str], None] = lambda _kind, _event: None,
    ) -> None:
        self._limits = limits
        self._measure = measure
        self._load = load
        self._release = release  # gives freed weights back to the system
        self._note = note
        self.slots: dict[Kind, Slot] = {kind: Slot() for kind in KINDS if kind in limits.requests}
        self._changed = threading.Condition()
        self._wanted: queue.SimpleQueue[Kind] = queue.SimpleQueue()

    def start(self) -> None:
        threading.Thread(target=self._load_all, name="loader", daemon=True).start()

    def runner(self, kind: Kind) -> Runner | None:
        slot = self.slots.get(kind)
        return slot.runner if slot else None

    @property
    def used_bytes(self) -> int:
        return sum(slot.weight_bytes for slot in self.slots.values())

    def admit(self, request_id: str, kind: Kind, tokens: int) -> Refused | Runner:
        """Take a place for a request, to be given back with `done`; or say at once why not."""
        with self._changed:
            slot = self.slots.get(kind)
            if slot is None:
                return Refused(request_id, "not_served", f"No {kind} model is served here.")
            if slot.state != "ready" or slot.runner is None:
                return self._not_ready(request_id, kind, slot)
            full = slot.jobs >= self._limits.requests[kind]
            if full or (slot.jobs and slot.tokens + tokens > self._limits.tokens):
                return Refused(request_id, "busy", BUSY.format(kind=kind), 1)
            slot.jobs += 1
            slot.tokens += tokens
            slot.used_at = time.monotonic()
            return slot.runner

    def done(self, kind: Kind, tokens: int) -> None:
        with self._changed:
            slot = self.slots[kind]
            slot.jobs -= 1
            slot.tokens -= tokens
            slot.used_at = time.monotonic()
            self._changed.notify_all()

    def want(self, kind: Kind) -> None:
        """Load it in the background, if that is not being done already."""
        with self._changed:
            slot = self.slots[kind]
            if slot.state in ("absent", "failed") and time.monotonic() >= slot.retry_at:
                slot.state, slot.began_at = "loading", time.monotonic()
                self._wanted.put(kind)

    def preload(self) -> None:
        """Want every model that fits beside those before it; one that cannot be measured shows when it is asked for."""
        total = 0
        for kind in self.slots:
            with contextlib.suppress(Exception):
                total += self._measure(kind)
                if total <= self._limits.budget_bytes:
                    self.want(kind)

    def unload_idle(self) -> None:
        """Free what nobody used for `idle_s`; called each second."""
        now = time.monotonic()
        for kind, slot in self.slots.items():
            with self._changed:
                idle = slot.state == "ready" and not slot.jobs
                if not (self._limits.idle_s and idle and now - slot.used_at > self._limits.idle_s):
                    continue
                slot.state = "leaving"
            self._free(kind, "idle")

    def _not_ready(self, request_id: str, kind: Kind, slot: Slot) -> Refused:
        now = time.monotonic()
        if slot.state == "failed" and now < slot.retry_at:
            wait = math.ceil(slot.retry_at - now)
            return Refused(request_id, "not_loaded", FAILED.format(kind=kind), wait)
        self.want(kind)
        left = slot.began_at + slot.load_s - now if slot.state == "loading" else slot.load_s
        return Refused(request_id, "loading", LOADING.format(kind=kind), max(1, math.ceil(left)))

    def _load_all(self) -> None:
        while True:
            kind = self._wanted.get()
            try:
                self._load_one(kind)
            except Exception as error:  # a rim: a bad folder costs this model, not the process
                self._failed(kind, error)

    def _load_one(self, kind: Kind) -> None:
        slot, began = self.slots[kind], time.monotonic()
        needed = self._measure(kind)
        self._make_room(kind, needed)
        slot.weight_bytes = (
            needed  # counted from here on, so that `used_bytes` never says too little
        )
        runner = self._load(kind)
        with self._changed:
            slot.runner, slot.weight_bytes, slot.state = runner, runner.weight_bytes, "ready"
            slot.used_at, slot.load_s = time.monotonic(), time.monotonic() - began
            slot.pause_s = slot.retry_at = 0.0
        self._note(kind, "loaded")
        log.info("aux.loaded", kind=kind, bytes=slot.weight_bytes, seconds=round(slot.load_s, 2))

    def _make_room(self, kind: Kind, needed: int) -> None:
        """Unload the least recently used until `needed` bytes are free. Raises `MemoryError` where they never are."""
        if needed > self._limits.budget_bytes:
            raise MemoryError(
                f"the {kind} model takes {needed} bytes, SHENQIAO_MODEL_AUX_MEMORY_MB allows"
                f" {self._limits.budget_bytes}"
            )
        while self.used_bytes + needed > self._limits.budget_bytes:
            with self._changed:
                ready = [name for name, slot in self.slots.items() if slot.state == "ready"]
                if not ready:  # the last one is being freed as idle
                    self._changed.wait(0.05)
                    continue
                victim = min(ready, key=lambda name: self.slots[name].used_at)
                self.slots[victim].state = "leaving"
                while self.slots[victim].jobs:
                    self._changed.wait()
            self._free(victim, "room")

    def _free(self, kind: Kind, reason: str) -> None:
        with self._changed:
            slot = self.slots[kind]
            slot.runner, slot.weight_bytes, slot.state = None, 0, "absent"
        self._release()
        self._note(kind, "unloaded")
        log.info("aux.unloaded", kind=kind, reason=reason)

    def _failed(self, kind: Kind, error: Exception) -> None:
        slot = self.slots[kind]
        slot.pause_s = min(LONGEST_PAUSE_S, slot.pause_s * 2 or FIRST_PAUSE_S)
        log.error("aux.load_failed", kind=kind, error=str(error), again_in_s=slot.pause_s)
        self._note(kind, "failed")
        with self._changed:
            slot.runner, slot.weight_bytes, slot.state = None, 0, "failed"
            slot.retry_at = time.monotonic() + slot.pause_s
        self._release()
