"""Who waits for an answer, over real connections to Gunicorn: since when, and whether still."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from playground.processes import environment, free_ports
from tests.waiting import wait_for

APP = """
import os
import time
from flask import Flask, jsonify
from tool_server.caller import Caller

app = Flask(__name__)

@app.get("/busy")
def busy():
    time.sleep(1.5)
    return "done"

@app.get("/waited")
def waited():
    return jsonify(waited_s=Caller().waited_s())

@app.get("/gone")
def gone():
    caller = Caller()
    before = caller.gone()
    print("asked", flush=True)
    while not os.path.exists("left"):
        time.sleep(0.02)
    print("gone", before, caller.gone(), flush=True)
    return "done"
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    (tmp_path / "one_thread.py").write_text(APP)
    (port,) = free_ports([0])
    command = [sys.executable, "-m", "gunicorn", "one_thread:app", "-b", f"127.0.0.1:{port}"]
    command += ["-k", "gthread", "--threads", "1", "--chdir", str(tmp_path), "--no-control-socket"]
    paths = f"{tmp_path}:{Path(__file__).parents[1]}"
    with (
        (tmp_path / "out").open("w") as out,
        subprocess.Popen(command, env=environment(PYTHONPATH=paths), stdout=out) as process,
    ):
        wait_for(lambda: listens(port))
        yield port, tmp_path / "out"
        process.terminate()


def listens(port: int) -> bool:
    try:
        with ask(port, "/waited") as first:
            return bool(answer(first))
    except ConnectionRefusedError:
        return False


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def ask(port: int, path: str) -> socket.socket:
    connection = connect(port)
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    return connection


@pytest.mark.quiet
def test_the_time_in_the_queue_counts(server: tuple[int, Path]) -> None:
    port, _ = server
    with ask(port, "/waited") as at_once:
        soon = answer(at_once)
    with ask(port, "/busy") as busy:
        time.sleep(0.3)
        with ask(port, "/waited") as queued:
            late = answer(queued)
        answer(busy)
    assert number(soon) < 0.5
    assert 0.8 < number(late) < 3


def test_a_caller_that_has_left_is_noticed(server: tuple[int, Path]) -> None:
    port, out = server
    connection = ask(port, "/gone")
    wait_for(lambda: "asked" in out.read_text())
    connection.close()
    (out.parent / "left").touch()
    wait_for(lambda: "gone" in out.read_text())
    assert out.read_text().split() == ["asked", "gone", "False", "True"]


def answer(connection: socket.socket) -> str:
    parts = []
    while part := connection.recv(4096):
        parts.append(part)
    return b"".join(parts).decode()


def number(text: str) -> float:
    return float(text.rsplit(":", 1)[1].strip(" }\n"))
