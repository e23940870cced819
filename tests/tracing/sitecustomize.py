"""Put on PYTHONPATH by the lifecycle test: writes down when the functions that `docs/lifecycle.md` names are called.

Each process of the playground imports this at its start. Code that is not named costs nothing after its first call.
"""

import os
import sys
import time
from types import CodeType
from typing import Any

TOOL = 4


def install(root: str, wanted: set[str], target: int) -> None:
    """Write one line, time and name, for each call of a wanted function."""
    monitoring = sys.monitoring
    names: dict[CodeType, str] = {}

    def started(code: CodeType, _offset: int) -> Any:
        name = names.get(code)
        if name is None:
            path = os.path.relpath(os.path.abspath(code.co_filename), root)  # noqa: PTH100  (no imports here)
            name = names[code] = f"{path}:{code.co_qualname}"
        if name not in wanted:
            return monitoring.DISABLE
        os.write(target, f"{time.time_ns()} {name}\n".encode())
        return None

    monitoring.use_tool_id(TOOL, "lifecycle")
    monitoring.register_callback(TOOL, monitoring.events.PY_START, started)
    monitoring.set_events(TOOL, monitoring.events.PY_START)


if "TRACE_FILE" in os.environ:
    install(
        os.environ["TRACE_ROOT"],
        set(os.environ["TRACE_NAMES"].split(",")),
        os.open(os.environ["TRACE_FILE"], os.O_WRONLY | os.O_APPEND | os.O_CREAT),
    )
