"""A bare client of the platform's long connection: a stranger who takes a bot, or a test that speaks the wire."""

import json
import queue
import threading
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.waiting import PATIENCE_S


class BotClient:
    """`with BotClient(url) as client:`; `call` sends a command and waits for its answer."""

    def __init__(self, url: str) -> None:
        self._socket = connect(url, proxy=None, ping_interval=None, max_size=None)
        self._answers: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._messages: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def __enter__(self) -> "BotClient":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._thread.join()

    @property
    def connected(self) -> bool:
        return self._thread.is_alive()

    def subscribe(self, bot_id: str, secret: str) -> int:
        return self.call("aibot_subscribe", {"bot_id": bot_id, "secret": secret})

    def call(self, cmd: str, body: dict[str, Any], req_id: str = "r-1") -> int:
        """The code of the answer."""
        return int(self.ask(cmd, body, req_id)["errcode"])

    def ask(self, cmd: str, body: dict[str, Any], req_id: str = "r-1") -> dict[str, Any]:
        self.send(cmd, body, req_id)
        return self._answers.get(timeout=PATIENCE_S)

    def send(self, cmd: str, body: dict[str, Any], req_id: str) -> None:
        """A command whose answer nobody waits for."""
        frame = {"cmd": cmd, "headers": {"req_id": req_id}, "body": body}
        self.send_text(json.dumps(frame))

    def send_text(self, text: str) -> None:
        self._socket.send(text)

    def message(self) -> dict[str, Any]:
        """The next frame that the platform sends by itself."""
        return self._messages.get(timeout=PATIENCE_S)

    def quiet(self) -> bool:
        """Whether nothing has come."""
        return self._messages.empty()

    def _listen(self) -> None:
        try:
            for text in self._socket:
                frame = json.loads(text)
                (self._messages if "cmd" in frame else self._answers).put(frame)
        except ConnectionClosed:
            return
