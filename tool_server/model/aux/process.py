"""The aux process: one Unix socket, a thread to read and one to write for each connection, service and executor behind.

It listens before torch is imported, so that even the first request is answered at once: "loading".
"""

import gc
import os
import signal
import socket
import threading

import structlog

from tool_server import logs
from tool_server.heartbeats import Heartbeat
from tool_server.model.aux import kinds
from tool_server.model.aux.checkpoint import Checkpoint
from tool_server.model.aux.executor import Executor
from tool_server.model.aux.kinds import Kind
from tool_server.model.aux.registry import Limits, Registry
from tool_server.model.aux.service import Service
from tool_server.model.aux.status import Status
from tool_server.model.aux.wire import SOCKET, Answer, encode, read
from tool_server.model.aux.work import Runner
from tool_server.model.sockets import Connection, WireError, listen
from tool_server.parent import follow_parent
from tool_server.settings import Settings

log = structlog.get_logger()

HOUSEKEEPING_S = 1.0
FLOAT_BYTES = {"float32": 4, "bfloat16": 2}
MB = 1024 * 1024


def main(settings: Settings) -> None:
    """Serve until SIGTERM; models are loaded when they are asked for. Raises `SettingsError`."""
    served = kinds.check(settings)
    logs.configure(settings, "aux")
    follow_parent()
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    loader = _Loader(settings)
    status = Status()
    registry = Registry(
        limits(settings), loader.measure, loader.load, release=loader.release, note=status.note
    )
    executor = Executor(
        registry.runner,
        gate=loader.gate,
        window_s=settings.model_aux_window_ms / 1000,
        batch_tokens=settings.model_aux_batch_tokens,
        observe=status.observe,
    )
    heartbeat = Heartbeat(
        settings.run_dir, "aux", status.registry, lambda: status.report(registry.slots)
    )
    heartbeat.start()
    service = Service(registry, executor, max_audio_s=settings.model_speech_max_s)
    registry.start()
    executor.start()
    if settings.model_aux_preload:
        registry.preload()
    with listen(settings.run_dir / SOCKET) as listener:
        threading.Thread(target=_accept, args=(listener, service), daemon=True).start()
        heartbeat.beat()
        log.info("aux.ready", kinds=sorted(served))
        while not stopped.wait(HOUSEKEEPING_S):
            registry.unload_idle()
    heartbeat.stop()
    (settings.run_dir / SOCKET).unlink(missing_ok=True)
    os._exit(0)  # a forward may be long, and nobody waits for it any more


def limits(settings: Settings) -> Limits:
    """The registry's limits, from the settings."""
    requests = dict.fromkeys(kinds.configured(settings), settings.model_aux_max_queued)
    if "speech" in requests:
        requests["speech"] = settings.model_speech_max_queued
    return Limits(
        budget_bytes=settings.model_aux_memory_mb * MB,
        idle_s=settings.model_aux_idle_s,
        requests=requests,
        tokens=settings.model_aux_max_queued_tokens,
    )


class _Loader:
    """Loading for the registry; torch is imported with the first model, on the registry's thread."""

    def __init__(self, settings: Settings) -> None:
        self.gate = threading.RLock()
        self._settings = settings
        self._prepared = False

    def measure(self, kind: Kind) -> int:
        checkpoint = Checkpoint(kinds.configured(self._settings)[kind].path)
        return checkpoint.weight_bytes(FLOAT_BYTES[self._settings.model_aux_dtype])

    def load(self, kind: Kind) -> Runner:
        from tool_server.model.aux import loaders

        if not self._prepared:
            loaders.prepare(self._settings, self.gate)
            self._prepared = True
        return loaders.load(kind, self._settings)

    def release(self) -> None:
        gc.collect()
        if self._prepared:
            from tool_server.model.aux import loaders

            loaders.release()


def _accept(listener: socket.socket, service: Service) -> None:
    while True:
        peer, _ = listener.accept()
        connection = Connection[Answer](peer, encode)
        threading.Thread(target=connection.write_all, daemon=True).start()
        threading.Thread(target=_serve, args=(connection, service), daemon=True).start()


def _serve(connection: Connection[Answer], service: Service) -> None:
    """Read one client's commands until it goes; then nobody waits for its jobs."""
    try:
        for command in read(connection.peer):
            service.handle(command, connection)  # type: ignore[arg-type]  # an answer is refused there
    except (WireError, OSError) as error:
        log.warning("aux.client_lost", reason=str(error))
    finally:
        service.cancel_all_of(connection)
        connection.put(None)
        connection.close()
