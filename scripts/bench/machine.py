"""What a figure depends on besides the code: the kind of machine, the versions; without names of anybody."""

import datetime
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

import psutil

LIBRARIES = ("torch", "transformers", "tokenizers", "flask", "gunicorn", "bitsandbytes")
# Every contender works on as many cores as this, and with one torch thread.
CORES = 2


def pin() -> None:
    """Keep this process, and all that it starts, on the first two cores that it may use."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])


def describe() -> dict[str, str]:
    """Date, processor, memory, versions."""
    return {
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "processor": f"{processor()}, {len(os.sched_getaffinity(0))} cores",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()}, Python {platform.python_version()}",
        **{name: importlib.metadata.version(name) for name in LIBRARIES},
    }


def processor() -> str:
    """Its name, and whether it has the wide instructions that decide how fast it is here."""
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    values = {name.strip(): value.strip() for name, value in fields.items()}
    flags = values.get("flags", "").split()
    wide = [name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if name in flags]
    return " ".join([values.get("model name", platform.machine()), *wide])


def version_of(python: Path, package: str) -> str:
    """The version of a package in another environment; "absent" where there is none."""
    if not python.exists():
        return "absent"
    code = "import importlib.metadata, sys; print(importlib.metadata.version(sys.argv[1]))"
    run = subprocess.run([python, "-c", code, package], capture_output=True, text=True, check=False)
    return run.stdout.strip() or "absent"


def cpu_s(pid: int) -> float:
    """CPU seconds of a process and everything below it, also of children that have ended."""
    total = 0.0
    parent = psutil.Process(pid)
    for process in (parent, *parent.children(recursive=True)):
        times = process.cpu_times()
        total += times.user + times.system + times.children_user + times.children_system
    return total
