"""Results as files: one JSON object per benchmark in `docs/bench/`, with the machine it ran on."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.bench import machine

FOLDER = Path(__file__).resolve().parent.parent.parent / "docs" / "bench"


def write(name: str, command: str, body: Mapping[str, Any], folder: Path = FOLDER) -> None:
    """Write `<folder>/<name>.json` with the command that made it."""
    folder.mkdir(parents=True, exist_ok=True)
    whole = {"command": command, "machine": machine.describe(), **body}
    (folder / f"{name}.json").write_text(json.dumps(whole, indent=1) + "\n")


def read(name: str, folder: Path = FOLDER) -> dict[str, Any] | None:
    """What the last run wrote; None where there was none."""
    path = folder / f"{name}.json"
    if not path.is_file():
        return None
    body: dict[str, Any] = json.loads(path.read_text())
    return body


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest rank; `values` need not be sorted."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]
