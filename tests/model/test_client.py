"""The web's side of the engine's socket."""

from pathlib import Path

from tool_server.model.client import LOST, EngineClient, Progress, Stream
from tool_server.model.wire import Accepted


def test_tokens_that_overtake_the_yes_are_a_yes() -> None:
    stream = Stream("a", EngineClient(Path("nowhere")))
    first, second = Progress([1], None), Progress([2], None)
    for event in (first, Accepted("a"), second):
        stream.put(event)
    assert [stream.next(0.01) for _ in range(4)] == [Accepted("a"), first, second, None]


def test_an_engine_that_is_lost_before_its_yes_has_not_said_yes() -> None:
    stream = Stream("a", EngineClient(Path("nowhere")))
    stream.put(LOST)
    assert stream.next(0.01) is LOST
