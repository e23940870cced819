"""A guard model's judgement of an answer, and what follows from it; the model itself is behind the protocol `Guard`."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import structlog

from tool_server.errors import ApiError, Unavailable

log = structlog.get_logger()

RETRY_AFTER_S = 5
UNNAMED = "unsafe"
# Where a sentence ends; a full stop only before white space, not in "3.5".
_END = re.compile(r"[。！？!?\n]|\.\s")


@dataclass(frozen=True)
class Verdict:
    """What a guard model says of an answer, with its own names for what is wrong."""

    safety: Literal["safe", "controversial", "unsafe"]
    categories: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The categories; a text that is not safe has at least one."""
        return self.categories or (() if self.safety == "safe" else (UNNAMED,))


class Guard(Protocol):
    """A guard model of the Qwen3Guard class."""

    def check(self, prompt: str, answer: str) -> Verdict:
        """Judge `answer` to `prompt`; an empty answer: judge the prompt. Raises `ApiError` when it cannot."""


class GuardAway(Unavailable):
    """The guard model could not judge, and nothing may leave without it."""

    code = "guard_unavailable"


@dataclass(frozen=True)
class Policy:
    """What to do with a verdict, and without one. `count` gets "passed", "blocked" or "away" for each check."""

    guard: Guard
    block_controversial: bool
    required: bool
    count: Callable[[str], None]

    def judge(self, prompt: str, answer: str) -> Verdict | None:
        """The guard's verdict; None: it is away and need not be there. Raises `GuardAway` when it must."""
        try:
            verdict = self.guard.check(prompt, answer)
        except ApiError as error:
            self.count("away")
            log.warning("moderation.guard_away", code=error.code, required=self.required)
            if self.required:
                raise GuardAway(
                    "The answer could not be checked; try again in a moment.",
                    retry_after=error.retry_after or RETRY_AFTER_S,
                ) from None
            return None
        blocked = self.blocks(verdict)
        self.count("blocked" if blocked else "passed")
        if blocked:
            log.info("moderation.blocked", check="guard", category=verdict.names[0])
        return verdict

    def blocks(self, verdict: Verdict) -> bool:
        return verdict.safety == "unsafe" or (
            verdict.safety == "controversial" and self.block_controversial
        )


class Gate:
    """Holds an answer back until the guard has seen everything up to there; made per answer by `Moderation`."""

    def __init__(self, policy: Policy, prompt: str, *, segment: int | None) -> None:
        """`segment`: characters that are checked and released together, up to twice as many; None: all at the end."""
        self._policy = policy
        self._prompt = prompt
        self._segment = segment
        self._checked = ""
        self._held = ""
        self.hit: str | None = None

    def feed(self, text: str) -> str:
        """What was found good. Raises `GuardAway`."""
        self._held += text
        out = ""
        while self.hit is None and (end := self._segment_end()):
            out += self._let(end)
        return out

    def end(self) -> str:
        """The rest, if it is good. Another text may be fed after it. Raises `GuardAway`."""
        if self.hit is not None or not self._held.strip():
            rest, self._held = "" if self.hit else self._held, ""
            return rest
        return self._let(len(self._held))

    def _segment_end(self) -> int:
        """Where the next check is due; 0: not yet. Depends on the text alone, not on how it came."""
        if self._segment is None or len(self._held) < self._segment:
            return 0
        last = 2 * self._segment
        found = _END.search(self._held, self._segment - 1, last)
        if found:
            return found.end()
        return last if len(self._held) >= last else 0

    def _let(self, end: int) -> str:
        segment, rest = self._held[:end], self._held[end:]
        verdict = self._policy.judge(self._prompt, self._checked + segment)
        if verdict is not None and self._policy.blocks(verdict):
            self.hit, self._held = verdict.names[0], ""
            return ""
        self._checked, self._held = self._checked + segment, rest
        return segment
