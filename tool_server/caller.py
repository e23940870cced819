"""The connection behind the current request, as the kernel knows it: whether it is still there, and since when.

Under Gunicorn; elsewhere a caller is always there and has always just come.
"""

import contextlib
import socket
import struct

from flask import request

# Linux, `struct tcp_info`: eight bytes of flags, then 32-bit numbers; the twelfth is `tcpi_last_data_recv` in ms.
LAST_DATA_RECEIVED = struct.Struct("=52xI")


class Caller:
    """Who waits for the answer to the current request; may be asked from another thread."""

    def __init__(self) -> None:
        connection = request.environ.get("gunicorn.socket")
        self._connection = connection if isinstance(connection, socket.socket) else None

    def gone(self) -> bool:
        """Whether the connection was closed from the other side: nobody reads what is written now."""
        if self._connection is None:
            return False
        with contextlib.suppress(BlockingIOError):
            try:
                return self._connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
            except ConnectionError:
                return True
        return False

    def waited_s(self) -> float:
        """Seconds since the request's last byte came to this machine, the time in the listening queue included."""
        if self._connection is None:
            return 0.0
        with contextlib.suppress(OSError, struct.error):
            size = LAST_DATA_RECEIVED.size
            told = self._connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, size)
            return int(LAST_DATA_RECEIVED.unpack(told)[0]) / 1000
        return 0.0
