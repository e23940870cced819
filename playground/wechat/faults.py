"""Faults by script: what the next calls of one API route come to; set over HTTP, met in `routes`."""

import threading
from collections import deque
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass

from playground.wechat.limits import LONGEST_WAIT_S, SCRIPTED

KINDS = (
    "errcode",  # answered with `code`, nothing done
    "http_500",  # nothing done
    "reset_before",  # the connection ends, nothing done
    "slow_before",  # `seconds`, then done and answered
    "broken_json",  # done, and half an answer
    "reset_after",  # done, and the connection ends
    "lost_ack",  # done, and never answered; on long connections only
    "slow_after",  # done, then `seconds`: the caller's timeout passes after the platform accepted
)


def _known(kind: str) -> str:
    if kind not in KINDS:
        raise ValueError(f"choose one of {', '.join(KINDS)}")
    return kind


@dataclass(frozen=True)
class Fault:
    """`times` calls of the route that ends with `call` meet it, after `skip` calls that do not."""

    call: Annotated[str, Field(min_length=1)]
    fault: Annotated[str, AfterValidator(_known)]
    times: Annotated[int, Field(ge=1)] = 1
    code: int = -1
    seconds: Annotated[float, Field(ge=0, le=LONGEST_WAIT_S)] = 0.0
    skip: Annotated[int, Field(ge=0)] = 0


class Script:
    """Faults in the order in which they were set; a call meets the first that is due."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._due: deque[tuple[Fault, int]] = deque(maxlen=SCRIPTED)  # with the calls it has seen

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._due.append((fault, 0))

    def clear(self) -> None:
        with self._lock:
            self._due.clear()

    def next(self, path: str) -> Fault | None:
        """The fault that this call meets, if one was set."""
        with self._lock:
            for place, (fault, calls) in enumerate(self._due):
                if path.endswith(fault.call):
                    self._due[place] = (fault, calls + 1)
                    if calls + 1 >= fault.skip + fault.times:
                        del self._due[place]
                    return fault if calls >= fault.skip else None
        return None
