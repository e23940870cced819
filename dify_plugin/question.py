"""What a workflow or an agent asks, read from a tool's parameters; `server` sends it as it is."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dify_plugin.faults import ServerError

TOP_K = 3
# What a form that must choose a base sends for all of them.
ALL = "*"
# Dify lets a node's output have 1 MB, and the passages stand in it three times.
CHARACTERS, LEAST_CHARACTERS, MOST_CHARACTERS = 6000, 200, 60000
SEPARATOR = re.compile(r"[\s,，、;；]+")


@dataclass(frozen=True)
class Question:
    """The body of a search. `app` and `conversation` are Dify's: the server binds the ticket to them."""

    query: str
    bases: list[str]
    top_k: int
    score_threshold: float
    mode: str
    filters: object
    language: str
    ticket: str | None
    app: str
    conversation: str

    @classmethod
    def of(cls, parameters: Mapping[str, Any], *, app: str, conversation: str) -> Question:
        """What is missing gets its default. Raises `ServerError`, which names the parameter."""
        language = _text(parameters, "language")
        return cls(
            query=str(parameters.get("query") or ""),
            bases=_bases(parameters),
            top_k=count_of(parameters, "top_k", TOP_K),
            score_threshold=_share(parameters.get("score_threshold")),
            mode=_text(parameters, "mode") or "auto",
            filters=_condition(parameters.get("filters")),
            language="" if language == "any" else language,
            ticket=_text(parameters, "ticket") or None,
            app=app,
            conversation=conversation,
        )


@dataclass(frozen=True)
class DocumentQuestion:
    """The body of a request for a document's text."""

    document_id: str
    offset: int
    limit: int
    ticket: str | None
    app: str
    conversation: str

    @classmethod
    def of(cls, parameters: Mapping[str, Any], *, app: str, conversation: str) -> DocumentQuestion:
        """What is missing gets its default. Raises `ServerError`, which names the parameter."""
        return cls(
            document_id=_text(parameters, "document_id"),
            offset=count_of(parameters, "offset", 0),
            limit=budget_of(parameters),
            ticket=_text(parameters, "ticket") or None,
            app=app,
            conversation=conversation,
        )


def language_of(text: str) -> str:
    """ "zh" where it holds a Han character, else "en"."""
    return "zh" if any("\u4e00" <= character <= "\u9fff" for character in text) else "en"


def budget_of(parameters: Mapping[str, Any]) -> int:
    """How many characters of documents may come back. Raises `ServerError`."""
    budget = count_of(parameters, "max_characters", CHARACTERS)
    if not LEAST_CHARACTERS <= budget <= MOST_CHARACTERS:
        raise ServerError(f"max_characters: from {LEAST_CHARACTERS} to {MOST_CHARACTERS}.")
    return budget


def count_of(parameters: Mapping[str, Any], name: str, default: int) -> int:
    value = parameters.get(name)
    if value in (None, ""):
        return default
    try:
        return int(float(str(value)))
    except (ValueError, OverflowError):
        raise ServerError(f"{name}: enter a whole number.") from None


def _bases(parameters: Mapping[str, Any]) -> list[str]:
    """The one that was chosen and those that were written; none is all that may be seen."""
    chosen = _text(parameters, "base")
    written = SEPARATOR.split(_text(parameters, "bases"))
    names = [] if chosen == ALL else [chosen]
    return list(dict.fromkeys(name for name in (*names, *written) if name))


def _text(parameters: Mapping[str, Any], name: str) -> str:
    return str(parameters.get(name) or "").strip()


def _share(value: object) -> float:
    if value in (None, ""):
        return 0.0
    try:
        share = float(str(value))
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise ServerError("score_threshold: enter a number from 0 to 1.")
    return share


def _condition(value: object) -> object:
    """The JSON of Dify's `metadata_condition`, or that object itself; the server reads what is in it."""
    if not isinstance(value, str):
        return value or None
    try:
        return json.loads(value) if value.strip() else None
    except (ValueError, RecursionError):
        raise ServerError("filters: this is not JSON.") from None
