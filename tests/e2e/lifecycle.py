"""`docs/lifecycle.md` as data: its paths, and the functions that each names in order."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "lifecycle.md"
STEP = re.compile(r"`([\w/]+\.py:[\w.]+)`")
HEADING = re.compile(r"^#{2,3} (.+)$", re.MULTILINE)


def paths() -> dict[str, list[str]]:
    """Heading → functions, in the order of the page."""
    parts = HEADING.split(PAGE.read_text(encoding="utf-8"))[1:]
    return {title: STEP.findall(body) for title, body in zip(parts[::2], parts[1::2], strict=True)}


def all_steps() -> list[str]:
    return [step for steps in paths().values() for step in steps]
