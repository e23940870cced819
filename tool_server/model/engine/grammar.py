"""Answers that follow a JSON schema: xgrammar says at each step which tokens may come next."""

import json
import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import PreTrainedTokenizerFast

if TYPE_CHECKING:
    import xgrammar  # imported with the first schema: the engine starts half a second sooner

# A schema of this size compiles in well under a second; beyond it one caller could keep the engine from the others.
SCHEMA_BYTES = 32 * 1024
DEPTH = 32
# xgrammar writes repetitions out; larger bounds cost seconds and memory.
REPEAT = 1000
BOUNDED = frozenset({"minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"})  # fmt: skip
QUANTIFIER = re.compile(r"\{(\d+)(?:,(\d*))?\}")


class BadSchema(ValueError):
    """This schema cannot be followed; a sentence for the caller."""


class Grammars:
    """Compiles schemas for one tokenizer; thread-safe, remembers what it has compiled."""

    def __init__(self, path: Path, vocabulary: int, ends: frozenset[int]) -> None:
        self._path = path
        self._vocabulary = vocabulary
        self._ends = ends
        self._lock = threading.Lock()
        self._compiler: xgrammar.GrammarCompiler | None = None

    def matcher(self, schema: str) -> "Matcher":
        """A matcher for the text of a JSON schema. Raises `BadSchema`."""
        check(schema)
        with self._lock:
            compiler = self._compiler or self._make()
            try:
                # Without free white space: weak models go on with blanks for ever.
                compiled = compiler.compile_json_schema(
                    schema, any_whitespace=False, separators=(",", ":"), strict_mode=False
                )
            except (RuntimeError, ValueError) as error:
                reason = str(error).splitlines()[-1][:200]
                raise BadSchema(f"this schema cannot be followed: {reason}") from None
        return Matcher(compiled, self._vocabulary)

    def _make(self) -> "xgrammar.GrammarCompiler":
        import xgrammar

        tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(self._path / "tokenizer.json"))
        ends = sorted(self._ends) or [self._vocabulary - 1]  # it must have one
        known = xgrammar.TokenizerInfo.from_huggingface(
            tokenizer, vocab_size=self._vocabulary, stop_token_ids=ends
        )
        self._compiler = xgrammar.GrammarCompiler(
            known, max_threads=1, cache_limit_bytes=64 * 1024 * 1024
        )
        return self._compiler


class Matcher:
    """Where one answer stands in its grammar."""

    def __init__(self, compiled: "xgrammar.CompiledGrammar", vocabulary: int) -> None:
        import xgrammar

        self._apply = xgrammar.apply_token_bitmask_inplace
        self._matcher = xgrammar.GrammarMatcher(compiled, terminate_without_stop_token=True)
        self._mask = xgrammar.allocate_token_bitmask(1, vocabulary)

    @property
    def complete(self) -> bool:
        return bool(self._matcher.is_terminated())

    def mask(self, logits: torch.Tensor) -> None:
        """Forbid in `logits` [vocabulary] what the grammar does not allow."""
        if not self.complete and self._matcher.fill_next_token_bitmask(self._mask):
            mask = self._mask.to(logits.device)
            self._apply(logits.unsqueeze(0), mask)

    def accept(self, token: int) -> None:
        if not self.complete:
            self._matcher.accept_token(token)


def check(schema: str) -> None:
    """Refuse what would cost the engine more than an answer. Raises `BadSchema`."""
    if len(schema.encode()) > SCHEMA_BYTES:
        raise BadSchema(f"a schema may have {SCHEMA_BYTES} bytes")
    try:
        _walk(json.loads(schema), DEPTH)
    except (ValueError, RecursionError) as error:
        raise BadSchema(str(error)) from None


def _walk(value: Any, depth: int) -> None:
    if depth == 0:
        raise BadSchema(f"a schema may be {DEPTH} levels deep")
    if isinstance(value, list):
        for part in value:
            _walk(part, depth - 1)
    elif isinstance(value, dict):
        for name, part in value.items():
            if name in BOUNDED and isinstance(part, int | float) and part > REPEAT:
                raise BadSchema(f"{name} may be at most {REPEAT}")
            if name == "pattern" and isinstance(part, str):
                _check_pattern(part)
            _walk(part, depth - 1)


def _check_pattern(pattern: str) -> None:
    for numbers in QUANTIFIER.findall(pattern):
        if any(number and int(number) > REPEAT for number in numbers):
            raise BadSchema(f"pattern may repeat at most {REPEAT} times")
