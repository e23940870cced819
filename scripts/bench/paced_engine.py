"""Stands where the engine stands and gives each request one token per step at a fixed pace; started by `web`.

    python -m scripts.bench.paced_engine SOCKET FIRST_TOKEN STEPS_PER_S TIMES_FILE

Step n sends the n-th word from FIRST_TOKEN on (modulo their number), so the text of an event says which step it was
of. When it is ended, TIMES_FILE holds when each step was written (monotonic clock, which all processes share).
"""

import json
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import NoReturn

from tool_server.model.wire import Accepted, Cancel, Finish, Hello, Step, Submit, encode, read

# Steps that a token's text can tell apart; longer runs begin again.
STEPS = 7000
VOCABULARY = 8000
CONTEXT_TOKENS = 2048


class Engine:
    """All requests of one connection, each with the tokens that it has yet to get."""

    def __init__(self, peer: socket.socket, first: int) -> None:
        self._peer = peer
        self._first = first
        self._left: dict[str, int] = {}
        self._lock = threading.Lock()
        self.times: dict[int, float] = {}

    def serve(self) -> None:
        """Take requests until the other side closes."""
        self._send(Hello(VOCABULARY, CONTEXT_TOKENS))
        for message in read(self._peer):
            with self._lock:
                match message:
                    case Submit():
                        self._left[message.id] = message.max_tokens
                        self._send(Accepted(message.id))
                    case Cancel():
                        self._left.pop(message.id, None)

    def step(self, number: int) -> None:
        """One token for every request, in one message, as the engine sends a step."""
        with self._lock:
            if not self._left:
                return
            token = self._first + number % STEPS
            tokens = {name: [token] for name in self._left}
            self._left = {name: left - 1 for name, left in self._left.items()}
            ended = [name for name, left in self._left.items() if left <= 0]
            for name in ended:
                del self._left[name]
            line = encode(Step(tokens, {name: Finish("length", 0.0) for name in ended}))
            self.times[number % STEPS] = time.monotonic()
            self._peer.sendall(line)

    def _send(self, message: Hello | Accepted) -> None:
        self._peer.sendall(encode(message))


def main(path: Path, first: int, steps_per_s: float, times: Path) -> NoReturn:
    """Serve one connection for ever."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen(1)
    print("ready", flush=True)
    engine = Engine(listener.accept()[0], first)

    def end(_number: int, _frame: FrameType | None) -> None:
        times.write_text(json.dumps(engine.times))
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, end)
    threading.Thread(target=engine.serve, daemon=True).start()
    began = time.monotonic()
    number = 0
    while True:
        number += 1
        time.sleep(max(0.0, began + number / steps_per_s - time.monotonic()))
        engine.step(number)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), Path(sys.argv[4]))
