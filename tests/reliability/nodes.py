"""The nodes of a soak, kill -9 of their processes, and which messages a kill hit; for `test_soak`."""

import json
import os
import shutil
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playground.processes import Process, free_ports
from playground.stage import Stage

# After these a message is held by nobody: its next lease is no sign of a loss.
GIVEN_BACK = ("later", "given.back", "noted", "nothing", "given.up")
NODE = "node"  # killed as a whole: the supervisor, and with it all that it started


@dataclass(frozen=True)
class Kill:
    """One kill -9."""

    number: int
    process: str  # worker, web, engine, node
    pids: tuple[int, ...]

    def __str__(self) -> str:
        return f"kill {self.number} of {self.process} {self.pids[0]}"


@dataclass
class Second:
    """A second node on the stage's ledger: web and workers of its own, with the same keys; no model."""

    stage: Stage
    workers: int
    folder: Path = field(init=False)
    process: Process = field(init=False)

    def __post_init__(self) -> None:
        self.folder = self.stage.plan.folder / "second"
        (self.folder / "data").mkdir(parents=True)
        for name in ("keys.json", "secret.key"):
            shutil.copy(self.stage.data_dir / name, self.folder / "data")
        self.start()

    @property
    def log(self) -> Path:
        return self.folder / "tool-server.log"

    def start(self) -> None:
        (port,) = free_ports([0])
        environ = self.stage.environ(
            SHENQIAO_DATA_DIR=str(self.folder / "data"),
            SHENQIAO_PORT=str(port),
            SHENQIAO_MODEL_ENABLED="false",
            SHENQIAO_CHANNEL_WORKERS=str(self.workers),
        )
        self.process = Process(
            "second node", ("tool_server", "serve"), log=self.log, environ=environ
        )

    def kill(self, number: int) -> Kill:
        """The node dies as a whole, and is started again."""
        held = [pid for name in ("web", "worker") for pid in running(self.log, name)]
        killed = Kill(number, NODE, (self.process.pid, *held))
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.stop()
        self.start()
        return killed


@contextmanager
def second_node(stage: Stage, workers: int) -> Iterator[Second]:
    node = Second(stage, workers)
    try:
        yield node
    finally:
        node.process.stop()


def running(log: Path, process: str) -> list[int]:
    """The processes of this name that the node with this log runs now."""
    lines = log.read_text(errors="replace").splitlines()
    started = (json.loads(line) for line in lines if "process.started" in line)
    pids = {event["child_pid"] for event in started if event["child"] == process}
    return sorted(pid for pid in pids if _alive(pid))


def kill_one(logs: Sequence[Path], process: str, number: int, choose: Any) -> Kill | None:
    """kill -9 one of the processes of this name on any of the nodes; None where none runs."""
    pids = [pid for log in logs for pid in running(log, process)]
    if not pids:
        return None
    pid = choose(pids)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    return Kill(number, process, (pid,))


def hits(life: Mapping[str, Any], kills: Sequence[Kill]) -> list[Kill]:
    """The kills that took its worker from a message before it was answered, in their order.

    Fails where a lease was lost and nobody was killed.
    """
    by_pid = {str(pid): kill for kill in kills for pid in kill.pids}
    found, holder = [], ""
    for event in life["events"]:
        if event["name"] == "leased":
            if holder:
                found.append(by_pid[_pid_of(holder)])
            holder = str(event["data"]["owner"])
        elif event["name"] in GIVEN_BACK:
            holder = ""
        elif event["name"] == "answered":
            break
    return found


def _pid_of(owner: str) -> str:
    """Of `host-node-pid-random`."""
    return owner.split("-")[-2]


def _alive(pid: int) -> bool:
    """Whether it runs: one that is dead and not yet noticed is killed by nobody."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
