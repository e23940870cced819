"""The address of the long connections: a WebSocket server that can go away and come back; for `__main__` and tests."""

import threading
import time

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

from playground.wechat.bot_socket.bot import BotSocket


class SocketServer:
    """Serves one bot on a port that stays the same over restarts."""

    def __init__(self, bot: BotSocket, port: int = 0) -> None:
        self.bot = bot
        self._port = port
        self._server: Server | None = None
        self._thread: threading.Thread | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self._port}"

    def __enter__(self) -> "SocketServer":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen, on the port of the time before."""
        self._server = serve(
            self._hold,
            "127.0.0.1",
            self._port,
            compression=None,
            max_size=self.bot.config.limits.frame_bytes,
            ping_interval=None,
        )
        self._port = self._server.socket.getsockname()[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Listen no more, and end every connection."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self.bot.cut()
            self._server = self._thread = None

    def restart(self, away_s: float) -> None:
        """Be gone for a while, as for new software."""
        self.stop()
        time.sleep(away_s)
        self.start()

    def _hold(self, socket: ServerConnection) -> None:
        """One connection, from its opening to its end."""
        silence_s = self.bot.config.limits.silence_s
        self.bot.opened(socket)
        pinged = time.monotonic()
        try:
            while True:
                text = socket.recv(timeout=max(0.0, pinged + silence_s - time.monotonic()))
                if self.bot.take(socket, text):
                    pinged = time.monotonic()
        except TimeoutError:
            self.bot.counts["silent"] += 1
        except ConnectionClosed:
            pass
        finally:
            self.bot.closed(socket)
