"""The contenders: each starts, answers a burst of prompts, says its CPU seconds, and stops. One at a time is alive.

All work on the same float32 weights, on the same two cores, with one torch (or llama.cpp) thread.
"""

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Protocol

import httpx
import psutil
from tokenizers import Tokenizer

from playground.processes import environment, follow_parent, free_ports
from scripts.bench import load, machine, peers
from scripts.bench.load import Answer, Event, Target
from tool_server.model.tokenizer import ChatTokenizer

START_S = 180.0
STOP_S = 15.0
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
# One page for each: enough for 64 streams of 192 + 64 tokens in every server.
CACHE_TOKENS = 400 * 64
STEP_TOKENS = 1024


class Contender(Protocol):
    """What `compare` needs of each."""

    def ask(self, texts: Sequence[str], *, streams: int, max_tokens: int) -> list[Answer]:
        """Answers to all `texts`, at most `streams` at a time."""

    def cpu_s(self) -> float:
        """CPU seconds of all its processes so far."""


class Server:
    """A contender behind HTTP: a process tree and a target."""

    def __init__(self, target: Target, pid: int) -> None:
        self._target = target
        self._pid = pid

    @property
    def url(self) -> str:
        """Where it listens."""
        return self._target.url

    def ask(self, texts: Sequence[str], *, streams: int, max_tokens: int) -> list[Answer]:
        return load.ask_all(self._target, texts, streams=streams, max_tokens=max_tokens)

    def cpu_s(self) -> float:
        return machine.cpu_s(self._pid)


class Sequential:
    """`generate` in a process of its own: requests wait for each other, no HTTP in between."""

    def __init__(self, folder: Path, process: "subprocess.Popen[bytes]") -> None:
        self._tokenizer = ChatTokenizer(folder)
        self._process = process
        self._lines = process.stdout
        self._read("ready")

    def ask(self, texts: Sequence[str], *, streams: int, max_tokens: int) -> list[Answer]:
        """All are taken as sent at the beginning when there are as many streams, else one after another."""
        answers: list[Answer] = []
        for first in range(0, len(texts), streams):
            answers += self._wave(texts[first : first + streams], max_tokens)
        return answers

    def cpu_s(self) -> float:
        return machine.cpu_s(self._process.pid)

    def _wave(self, texts: Sequence[str], max_tokens: int) -> list[Answer]:
        ids = [self._encode(text) for text in texts]
        sent_at = time.monotonic()
        assert self._process.stdin is not None
        self._process.stdin.write(
            json.dumps({"prompts": ids, "max_tokens": max_tokens}).encode() + b"\n"
        )
        self._process.stdin.flush()
        made = json.loads(self._read())["answers"]
        return [
            Answer(
                sent_at,
                one["last_at"],
                (Event(one["first_at"], ""),),
                len(prompt),
                one["tokens"],
                "usage",
            )
            for one, prompt in zip(made, ids, strict=True)
        ]

    def _encode(self, text: str) -> list[int]:
        messages = [{"role": "user", "content": text}]
        return self._tokenizer.encode(self._tokenizer.render(messages))

    def _read(self, wanted: str = "") -> bytes:
        assert self._lines is not None
        for line in self._lines:
            if line.startswith(wanted.encode() or b"{"):
                return line
        raise load.LoadError("The sequential process has ended.")


@contextlib.contextmanager
def ours(folder: Path, work: Path, settings: Mapping[str, str] | None = None) -> Iterator[Server]:
    """The tool server with nothing but the model."""
    (port,) = free_ports([0])
    environ = environment(
        SHENQIAO_DATA_DIR=str(work / "data"),
        SHENQIAO_RUN_DIR=str(work / "r"),
        SHENQIAO_PORT=str(port),
        SHENQIAO_MODEL_PATH=str(folder),
        SHENQIAO_MODEL_MAX_RUNNING="64",
        SHENQIAO_MODEL_PAGES=str(CACHE_TOKENS // 32),
        SHENQIAO_MODEL_MAX_BATCH_TOKENS=str(STEP_TOKENS),
        SHENQIAO_KNOWLEDGE_ENABLED="false",
        SHENQIAO_CHANNEL_ENABLED="false",
        SHENQIAO_LOG_LEVEL="info",
        **(settings or {}),
        **ONE_THREAD,
    )
    command = [sys.executable, "-m", "tool_server", "serve"]
    with running(command, environ, work / "ours.log") as process:
        url = f"http://127.0.0.1:{port}"
        wait_for(process, f"{url}/health/ready", work / "ours.log")
        yield Server(Target(url, "private-deepseek", key_of(work), {"temperature": 0}), process.pid)


@contextlib.contextmanager
def transformers_serve(folder: Path, work: Path) -> Iterator[Server]:
    """transformers' own server, continuous batching on; greedy because the checkpoint says nothing else."""
    python = peers.transformers_serve()
    (port,) = free_ports([0])
    command = [str(python), "-m", "transformers.cli.transformers", "serve", str(folder)]
    command += ["--device", "cpu", "--dtype", "float32", "--continuous-batching"]
    command += ["--cb-num-blocks", str(CACHE_TOKENS // 64), "--cb-block-size", "64"]
    command += ["--cb-max-batch-tokens", str(STEP_TOKENS), "--host", "127.0.0.1"]
    environ = {**environment(), **ONE_THREAD, **OFFLINE}
    with running([*command, "--port", str(port)], environ, work / "serve.log") as process:
        url = f"http://127.0.0.1:{port}"
        wait_for(process, f"{url}/health", work / "serve.log")
        yield Server(Target(url, str(folder)), process.pid)


@contextlib.contextmanager
def sequential(folder: Path, work: Path) -> Iterator[Sequential]:
    """Plain `generate`, one request after another."""
    command = [sys.executable, "-m", "scripts.bench.sequential", str(folder)]
    environ = {**environment(), **ONE_THREAD, **OFFLINE}
    with running(command, environ, work / "sequential.log", pipes=True) as process:
        yield Sequential(folder, process)


@contextlib.contextmanager
def llama_server(folder: Path, work: Path) -> Iterator[Server]:
    """llama-cpp-python's server on the same weights as float32 GGUF; it works on one request at a time."""
    python = peers.llama_server()
    file = folder / "model.gguf"
    if not file.exists():
        convert = [str(python), "-m", "scripts.bench.llama", str(folder), str(file)]
        subprocess.run(convert, check=True, cwd=peers.ROOT)
    (port,) = free_ports([0])
    command = [str(python), "-m", "llama_cpp.server", "--model", str(file)]
    command += ["--n_ctx", "2048", "--n_threads", "1", "--n_threads_batch", "1"]
    command += ["--interrupt_requests", "False", "--host", "127.0.0.1", "--port", str(port)]
    environ = {**environment(), **ONE_THREAD}
    with running(command, environ, work / "llama.log") as process:
        url = f"http://127.0.0.1:{port}"
        wait_for(process, f"{url}/v1/models", work / "llama.log")
        yield Server(Target(url, str(file), extra={"temperature": 0}), process.pid)


CONTENDERS: Mapping[str, Callable[[Path, Path], AbstractContextManager[Contender]]] = {
    "ours": ours,
    "transformers serve": transformers_serve,
    "sequential generate": sequential,
    "llama-cpp-python": llama_server,
}


@contextlib.contextmanager
def running(
    command: Sequence[str], environ: Mapping[str, str], log: Path, *, pipes: bool = False
) -> "Iterator[subprocess.Popen[bytes]]":
    """A process with its own log; it and all below it are gone afterwards."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE if pipes else subprocess.DEVNULL,
            stdout=subprocess.PIPE if pipes else output,
            stderr=output,
            env=dict(environ),
            cwd=peers.ROOT,
            start_new_session=True,
            preexec_fn=partial(follow_parent, signal.SIGTERM),
        )
        try:
            yield process
        finally:
            _end(process)


def wait_for(process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    """Until `url` answers 200. Raises `LoadError` with the end of the log."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(url, trust_env=False).status_code == 200:
                return
        time.sleep(0.1)
    raise load.LoadError(f"It did not start: {log.read_text(errors='replace')[-1500:]}")


def _end(process: "subprocess.Popen[bytes]") -> None:
    tree = []
    with contextlib.suppress(psutil.NoSuchProcess):
        tree = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_S)
    for left in tree:
        with contextlib.suppress(psutil.NoSuchProcess):
            left.kill()
    if process.poll() is None:
        process.kill()
    process.communicate()


def key_of(work: Path) -> str:
    """The key that opens the model of our server in `work`."""
    keys = json.loads((work / "data" / "keys.json").read_text())["keys"]
    return str(next(entry["key"] for entry in keys if "model" in entry["scopes"]))


def words_of(folder: Path) -> Tokenizer:
    """The checkpoint's tokenizer, for drawing prompts."""
    return Tokenizer.from_file(str(folder / "tokenizer.json"))
