"""The main job on a machine that has no network at all: nothing of ours even tries to reach another address.

A network namespace with loopback alone; every attempt to connect is counted by strace, whichever process makes it.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = ("unshare", "ip", "strace")
TARGET = re.compile(
    r'connect\(\d+, \{sa_family=AF_INET6?,.*?(?:inet_addr\("([^"]+)"\)|inet_pton\(AF_INET6, "([^"]+)")'
)
HERE = re.compile(r"127\.|::1$|::ffff:127\.")
# A process in such a namespace: `$1` is where strace writes.
INSIDE = 'ip link set lo up && exec strace --seccomp-bpf -f -qq -e trace=connect -e signal=none -o "$1" -- "${@:2}"'


def attempts(trace: str) -> list[str]:
    """The addresses of all attempts to connect by IP, in their order."""
    return [v4 or v6 for v4, v6 in TARGET.findall(trace)]


def outside(trace: str) -> list[str]:
    return [address for address in attempts(trace) if not HERE.match(address)]


def in_a_namespace(trace: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    wrapped = ["unshare", "--net", "bash", "-c", INSIDE, "inside", str(trace), *command]
    return subprocess.run(
        wrapped, cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=500
    )


@pytest.fixture(scope="module", autouse=True)
def _possible() -> None:
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        pytest.skip(f"this machine has no {', '.join(missing)}")
    if subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False).returncode:
        pytest.skip("a network namespace needs root")


def test_an_attempt_to_reach_another_address_is_counted(tmp_path: Path) -> None:
    """The counting itself: a name that has to be looked up, and an address."""
    code = (
        "import socket, contextlib\n"
        "for address in (('127.0.0.1', 9), ('192.0.2.1', 80), ('2001:db8::1', 80)):\n"
        "    with contextlib.suppress(OSError):\n"
        "        socket.create_connection(address, timeout=1)\n"
    )
    trace = tmp_path / "trace"
    done = in_a_namespace(trace, sys.executable, "-c", code)
    assert done.returncode == 0, done.stderr
    assert attempts(trace.read_text()) == ["127.0.0.1", "192.0.2.1", "2001:db8::1"]
    assert outside(trace.read_text()) == ["192.0.2.1", "2001:db8::1"]


@pytest.mark.timeout(600)
def test_the_main_job_reaches_no_other_address(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    done = in_a_namespace(trace, sys.executable, "-m", "playground.demo", "--once")
    # Its last step measures, which a traced process cannot pass; `make demo ONCE=1` holds that.
    came_out = done.returncode == 0 or "the median is over one second" in done.stdout
    assert came_out, done.stdout[-3000:] + done.stderr[-3000:]
    seen = attempts(trace.read_text())
    assert len(seen) > 20  # the servers, packages and stand-ins among each other
    assert outside(trace.read_text()) == []
