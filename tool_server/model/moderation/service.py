"""Everything that moderation has to offer, in one object for the whole web process; made in `create_app`."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from tool_server.model.moderation.answers import AnswerScreen, Checks
from tool_server.model.moderation.clean import clean, clean_messages
from tool_server.model.moderation.guard import Gate, Guard, Policy
from tool_server.model.moderation.screen import Screen
from tool_server.model.moderation.words import Entry, ListError, WordFile, WordList
from tool_server.settings import Settings, SettingsError

log = structlog.get_logger()

# The guard names levels, OpenAI's clients want numbers.
SCORES = {"safe": 0.0, "controversial": 0.5, "unsafe": 1.0}


@dataclass(frozen=True)
class Finding:
    """What was found in one text: how sure each category is, 0 to 1, and for which of them it is blocked here."""

    scores: Mapping[str, float]
    blocked: frozenset[str]


class Moderation:
    """The word list and the guard of this installation; either may be missing."""

    def __init__(
        self, settings: Settings, registry: CollectorRegistry, guard: Guard | None = None
    ) -> None:
        """Raises `SettingsError` when there is no good word list where one is set."""
        self.name = settings.model_moderation_name
        self._segment = settings.model_guard_segment_chars
        self._metrics = _Metrics(registry)
        self._words = _word_file(settings)
        if self._words is not None:
            self._metrics.watch(self._words)
        self._policy = guard and Policy(
            guard,
            block_controversial=settings.model_guard_controversial == "block",
            required=settings.model_guard_required,
            count=self._metrics.guard,
        )

    @property
    def available(self) -> bool:
        """Whether there is anything to check with."""
        return self._words is not None or self._policy is not None

    def describe(self) -> list[dict[str, object]]:
        """The entry of `/v1/models`; none where there is nothing to check with."""
        if not self.available:
            return []
        return [
            {
                "id": self.name,
                "object": "model",
                "created": int(time.time()),
                "owned_by": "shenqiao",
                "type": "moderation",
            }
        ]

    def screen(self, prompt: str = "", *, stream: bool = True) -> AnswerScreen:
        """A check for one answer to `prompt`; without `stream` the guard sees it once, whole."""
        if not self.available:
            return AnswerScreen(None, None)
        words = self._words.current() if self._words else None
        kinds = [self._checks(words, prompt, stream=stream) for _ in range(2)]
        return AnswerScreen(*kinds)

    def clean(self, messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Messages without hidden or harmful characters, see `clean`."""
        return clean_messages(messages)

    def check(self, text: str) -> Finding:
        """A whole text of anybody's, against the list and the guard. Raises `GuardAway`."""
        words = self._words.current() if self._words else None
        found = words.find(text) if words else []
        if words:
            self._metrics.words(found[0] if found else None)
        scores = dict.fromkeys(words.categories if words else (), 0.0)
        scores.update({entry.category: 1.0 for entry in found})
        blocked = {entry.category for entry in found}
        if self._policy and (verdict := self._policy.judge(clean(text), "")):
            named = dict.fromkeys(verdict.names, SCORES[verdict.safety])
            scores = {name: max(scores.get(name, 0), named.get(name, 0)) for name in scores | named}
            blocked |= named.keys() if self._policy.blocks(verdict) else set()
        return Finding(scores, frozenset(blocked))

    def _checks(self, words: WordList | None, prompt: str, *, stream: bool) -> Checks:
        segment = self._segment if stream else None
        gate = Gate(self._policy, clean(prompt), segment=segment) if self._policy else None
        return Checks(Screen(words) if words else None, gate, self._metrics.words)


class _Metrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._checks = Counter(
            "shenqiao_moderation_checks_total",
            "Checks by what checked and how it ended.",
            ["check", "result"],
            registry=registry,
        )
        self._entries = Gauge(
            "shenqiao_moderation_entries",
            "Entries of the word list in use.",
            registry=registry,
        )
        self._bad = Gauge(
            "shenqiao_moderation_list_bad",
            "1 while the word list's file is bad and the last good list is in use.",
            registry=registry,
        )

    def watch(self, words: WordFile) -> None:
        self._entries.set_function(lambda: len(words.current()))
        self._bad.set_function(lambda: 0 if words.good else 1)

    def guard(self, result: str) -> None:
        self._checks.labels("guard", result).inc()

    def words(self, found: Entry | None) -> None:
        self._checks.labels("words", "blocked" if found else "passed").inc()
        if found:
            log.info("moderation.blocked", check="words", category=found.category, line=found.line)


def _word_file(settings: Settings) -> WordFile | None:
    path = settings.model_moderation_words
    if path == Path():
        return None
    try:
        return WordFile(path, skip=settings.model_moderation_separators)
    except ListError as error:
        raise SettingsError(f"SHENQIAO_MODEL_MODERATION_WORDS: {path}: {error}.") from None
