"""Quoting documents to a model: passages under numbered heads that no text inside can imitate, within a budget.

The tool server has taken out what no reader sees and what chat templates read. What is left to do here is ours: a head
is a line that begins with a number in brackets, and no line of a document begins so once it is quoted.
"""

from __future__ import annotations

import re

HEAD_LIKE = re.compile(r"^([^\S\n]*)[\[［【〔]\s*(\d+)\s*[\]］】〕]", re.MULTILINE)
# Elsewhere `[2]`, or `[2][3]`, reads as a citation; behind a letter or a bracket it is code, `list[2]`.
CITATIONS = re.compile(r"(?<![A-Za-z0-9_\])])(?:\[\s*\d{1,2}\s*\])+")
BRACKETS = str.maketrans("[]", "()")
SENTENCE_END = re.compile(r"[。！？!?；;\n]|\.(?=\s)")


def quoted(number: int, title: str, text: str) -> str:
    """A passage under its head: its number and where it stands."""
    return f"[{number}] {defused(' '.join(title.split()))}\n{defused(text)}"


def defused(text: str) -> str:
    """Without anything that looks like a head or a citation of ours: `[2]` becomes `(2)`."""
    headless = HEAD_LIKE.sub(r"\1(\2)", text)
    return CITATIONS.sub(lambda found: found[0].translate(BRACKETS), headless)


def within(text: str, budget: int) -> str:
    """Its beginning, up to the last sentence that fits; empty where not one does."""
    if len(text) <= budget:
        return text
    # One character more: a full stop ends a sentence only before a blank.
    ends = [match.end() for match in SENTENCE_END.finditer(text, 0, max(budget, 0) + 1)]
    fitting = [end for end in ends if end <= budget]
    return text[: fitting[-1]].rstrip() if fitting else ""
