"""The child process that reads strangers' files, seen from its parent: started, asked, watched, ended by `Parser`."""

import os
import select
import signal
import subprocess
import sys
import time

from tool_server.knowledge.parse.wire import (
    LENGTH,
    OUT_OF_MEMORY,
    Answer,
    Read,
    WireError,
    decode_answer,
    encode,
    frame_limit,
)

CHUNK = 1024 * 1024
# Python and our own modules; on a machine that does nothing else, a third of a second.
START_S = 60
START_BYTES = 1024
# A child that was told to go has this long before it is reaped with force.
REAP_S = 5


class Died(Exception):
    """The child ended in the middle; `how` is a word for a sentence."""

    def __init__(self, how: str) -> None:
        super().__init__(how)
        self.how = how


class TooSlow(Exception):
    """The child used up the time that it had."""


class Child:
    """One child; it reads one file at a time, and many after it. Raises `RuntimeError` where it does not start."""

    def __init__(self, memory_mb: int) -> None:
        # No part of our environment: it holds secrets, and the child needs none of it.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "tool_server.knowledge.parse.child", str(memory_mb)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "LANG": "C.UTF-8"},
        )
        self.pid = self._process.pid
        self.files = 0
        self._limit = START_BYTES
        self._left_s = float(START_S)
        try:
            self.answer()
        except (Died, TooSlow, WireError) as error:
            self.stop()
            raise RuntimeError(f"The process that reads files does not start: {error!r}") from error

    def ask(self, read: Read) -> None:
        """Send a file to read. Raises `Died`."""
        assert self._process.stdin is not None
        self.files += 1
        self._limit = frame_limit(read.limits)
        self._left_s = float(read.limits.parse_s)
        try:
            self._process.stdin.write(encode(read))
            self._process.stdin.flush()
        except OSError:
            raise Died(self._how()) from None

    def answer(self) -> Answer:
        """The next message. Raises `Died`, `TooSlow`, `WireError`; only time spent waiting counts as the child's."""
        (length,) = LENGTH.unpack(self._receive(LENGTH.size))
        if length > self._limit:
            raise WireError("a message is too long")
        return decode_answer(self._receive(length))

    def stop(self) -> None:
        """End it at once, whatever it does."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.kill()
        self._process.wait(REAP_S)

    def _receive(self, size: int) -> bytearray:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        poller = select.poll()
        poller.register(descriptor, select.POLLIN)
        received = bytearray()
        while len(received) < size:
            began = time.monotonic()
            ready = poller.poll(max(0.0, self._left_s) * 1000)
            self._left_s -= time.monotonic() - began
            if not ready:
                raise TooSlow
            part = os.read(descriptor, min(CHUNK, size - len(received)))
            if not part:
                raise Died(self._how())
            received += part
        return received

    def _how(self) -> str:
        try:
            status = self._process.wait(REAP_S)
        except subprocess.TimeoutExpired:
            return "no answer"
        if status == OUT_OF_MEMORY:
            return "out of memory"
        return signal.Signals(-status).name if status < 0 else f"exit status {status}"
