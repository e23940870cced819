"""An engine process whose next step fails when it gets SIGUSR1: a fault that no request can bring about any more."""

import signal
from typing import Any

from tool_server.model.engine import process
from tool_server.model.engine.batches import Batches
from tool_server.settings import load

_open_backend = process.open_backend


def open_backend(settings: Any) -> Any:
    backend = _open_backend(settings)
    assert isinstance(backend, Batches)
    head = backend._model.lm_head
    forward = head.forward

    def fail(*_: object, **__: object) -> None:
        head.forward = forward
        raise RuntimeError("a step that fails")

    def break_next_step(*_: object) -> None:
        head.forward = fail

    signal.signal(signal.SIGUSR1, break_next_step)
    return backend


process.open_backend = open_backend
process.main(load())
