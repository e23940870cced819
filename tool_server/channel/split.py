"""Cutting an answer into pieces of at most N bytes, at a sentence end where possible; called by `answer`."""

import re

# Good places to cut, best first: paragraph, line, sentence, clause, word.
BREAKS = (
    re.compile(r"\n\n"),
    re.compile(r"\n"),
    re.compile(r"[。！？!?…；;]+[”’」』）)\"]*|\.(?=\s)"),
    re.compile(r"[，,、：:]"),
    re.compile(r"\s"),
)
# A cut this early would make pieces too small; then the next kind of place is tried.
LEAST_SHARE = 0.5


def split(text: str, limit: int) -> list[str]:
    """Pieces of at most `limit` bytes of UTF-8, none empty; together they hold all but the space around cuts."""
    pieces = []
    rest = text.strip()
    while len(rest.encode()) > limit:
        head = fit(rest, limit)
        cut = _best_cut(head)
        pieces.append(rest[:cut].rstrip())
        rest = rest[cut:].lstrip()
    if rest:
        pieces.append(rest)
    return [piece for piece in pieces if piece]


def fit(text: str, limit: int) -> str:
    """The longest beginning of `text` that has at most `limit` bytes, never half a character."""
    return text.encode()[:limit].decode(errors="ignore")


def _best_cut(head: str) -> int:
    for pattern in BREAKS:
        ends = [match.end() for match in pattern.finditer(head)]
        if ends and ends[-1] >= len(head) * LEAST_SHARE:
            return ends[-1]
    return len(head)
