"""The guard model's verdict on what was said, for moderation in the web process."""

import re
from functools import cached_property
from typing import Literal, get_args

import structlog

from tool_server.errors import Unavailable
from tool_server.model.aux.checkpoint import Checkpoint
from tool_server.model.aux.client import AuxClient, new_id
from tool_server.model.aux.kinds import configured
from tool_server.model.aux.wire import SOCKET, Judge, Tokens
from tool_server.model.moderation.guard import Verdict
from tool_server.model.tokenizer import ChatTokenizer
from tool_server.settings import Settings

log = structlog.get_logger()

type Safety = Literal["safe", "controversial", "unsafe"]
# From the mildest to the worst.
SAFETIES: tuple[Safety, ...] = get_args(Safety.__value__)

# Qwen3Guard-Gen writes three short lines.
VERDICT_TOKENS = 64
SAFETY = re.compile(r"Safety:\s*(Safe|Controversial|Unsafe)\b", re.IGNORECASE)
CATEGORIES = re.compile(r"Categories:[ \t]*([^\n]*)", re.IGNORECASE)
# A text this short is judged, or not at all: tokens of nothing but rare characters are still fewer than the limit.
SHORTEST = 32


class Guard:
    """The guard model; its tokenizer and chat template are read here. Raises `SettingsError` where they are missing."""

    def __init__(self, settings: Settings, client: AuxClient) -> None:
        self._settings = settings
        self._client = client
        self._tokenizer = ChatTokenizer(settings.model_guard_path, "SHENQIAO_MODEL_GUARD_PATH")

    @classmethod
    def open(cls, settings: Settings) -> "Guard | None":
        """The guard of this installation; None where none is configured."""
        if "guard" not in configured(settings):
            return None
        return cls(settings, AuxClient(settings.run_dir / SOCKET, settings.model_aux_timeout_s))

    def check(self, prompt: str, answer: str) -> Verdict:
        """The verdict on an answer to a prompt, or on the prompt alone where there is no answer.

        What is too long is checked in halves, and the worst counts. Raises `Unavailable` when the guard is away,
        loading, or gave no verdict.
        """
        tokens = self._render(prompt, answer)
        if len(tokens) <= self._limit:
            return self._judge(tokens)
        if len(prompt) >= max(len(answer), 2 * SHORTEST) and answer:
            return self.check(prompt[-(len(prompt) // 2) :], answer)  # its end asks the question
        text = answer or prompt
        if len(text) < 2 * SHORTEST:
            raise Unavailable("The guard's context is too small.", code="guard_failed")
        middle = len(text) // 2
        halves = (text[:middle], text[middle:])
        verdicts = [self.check(prompt, half) if answer else self.check(half, "") for half in halves]
        return worst(verdicts)

    @cached_property
    def _limit(self) -> int:
        own = Checkpoint(self._settings.model_guard_path).context_tokens
        return min(own, self._settings.model_guard_max_tokens) - VERDICT_TOKENS

    def _render(self, prompt: str, answer: str) -> list[int]:
        messages = [{"role": "user", "content": _defuse(prompt)}]
        if answer:
            messages.append({"role": "assistant", "content": _defuse(answer)})
        return self._tokenizer.encode(self._tokenizer.render(messages))

    def _judge(self, tokens: list[int]) -> Verdict:
        written = self._client.ask(Judge(new_id(), tokens, VERDICT_TOKENS), Tokens).tokens
        verdict = parse(self._tokenizer.decode(written))
        if verdict is None:
            log.warning("guard.no_verdict", prompt_tokens=len(tokens), tokens=len(written))
            raise Unavailable("The guard gave no verdict.", code="guard_failed", retry_after=1)
        return verdict


def parse(text: str) -> Verdict | None:
    """A verdict as Qwen3Guard-Gen writes it; None where there is none."""
    safety = SAFETY.search(text)
    if safety is None:
        return None
    listed = CATEGORIES.search(text)
    names = [name.strip() for name in listed[1].split(",")] if listed else []
    categories = tuple(name for name in names if name and name.lower() != "none")
    word: Safety = next(word for word in SAFETIES if word == safety[1].lower())
    return Verdict(word, categories)


def worst(verdicts: list[Verdict]) -> Verdict:
    """The least safe one, with the categories of all."""
    safety = max((verdict.safety for verdict in verdicts), key=SAFETIES.index)
    named = dict.fromkeys(name for verdict in verdicts for name in verdict.categories)
    return Verdict(safety, tuple(named))


def _defuse(text: str) -> str:
    """Nothing that was said can be a mark of the guard's own chat template."""
    return text.replace("<|", "< |")
