"""The guard's policy, against a real server that stands in for the model."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from tests.model.moderation.guards import GuardServer, HttpGuard, serve
from tool_server.model.moderation.guard import GuardAway
from tool_server.model.moderation.service import Moderation
from tool_server.model.text import Piece
from tool_server.settings import load


@pytest.fixture(scope="module")
def guards() -> Iterator[tuple[GuardServer, HttpGuard]]:
    with serve() as pair:
        yield pair


@pytest.fixture
def server(guards: tuple[GuardServer, HttpGuard]) -> GuardServer:
    guards[0].asked.clear()
    guards[0].away = False
    return guards[0]


@pytest.fixture
def guard(guards: tuple[GuardServer, HttpGuard]) -> HttpGuard:
    return guards[1]


class Made:
    """A moderation with a guard and its metrics."""

    def __init__(self, guard: HttpGuard, **environ: str) -> None:
        self.registry = CollectorRegistry()
        names = {f"SHENQIAO_MODEL_GUARD_{name.upper()}": value for name, value in environ.items()}
        self.moderation = Moderation(load(names), self.registry, guard)

    def checks(self, result: str) -> float | None:
        labels = {"check": "guard", "result": result}
        return self.registry.get_sample_value("shenqiao_moderation_checks_total", labels)


def stream(moderation: Moderation, texts: list[str], **options: bool) -> tuple[str, str | None]:
    """What leaves of an answer in pieces, and the category that ended it."""
    screen = moderation.screen("a question", **options)
    out = [piece.text for text in texts for piece in screen.feed([Piece(text, False)])]
    return "".join([*out, *(piece.text for piece in screen.end())]), screen.hit


SENTENCE = "This is a fine sentence. "


def test_a_stream_leaves_in_sentences_that_were_checked(
    server: GuardServer, guard: HttpGuard
) -> None:
    made = Made(guard, segment_chars="20")
    screen = made.moderation.screen("a question")
    first = [piece.text for char in SENTENCE * 2 for piece in screen.feed([Piece(char, False)])]
    assert first == [SENTENCE, SENTENCE]
    assert server.asked == [("a question", SENTENCE), ("a question", SENTENCE * 2)]
    assert made.checks("passed") == 2


def test_nothing_of_an_unsafe_sentence_leaves(server: GuardServer, guard: HttpGuard) -> None:
    made = Made(guard, segment_chars="20")
    text = SENTENCE + "Then take the poison and wait. " + SENTENCE
    assert stream(made.moderation, list(text)) == (SENTENCE, "Violent")
    assert made.checks("blocked") == 1
    assert len(server.asked) == 2


def test_an_unsafe_end_without_a_full_stop_does_not_leave(
    server: GuardServer, guard: HttpGuard
) -> None:
    made = Made(guard, segment_chars="20")
    assert stream(made.moderation, [SENTENCE, "poison"]) == (SENTENCE, "Violent")


def test_a_sentence_without_an_end_leaves_after_twice_the_segment(
    server: GuardServer, guard: HttpGuard
) -> None:
    screen = Made(guard, segment_chars="20").moderation.screen("q")
    out = [piece.text for char in "x" * 70 for piece in screen.feed([Piece(char, False)])]
    assert out == ["x" * 40]


def test_an_answer_that_is_not_streamed_is_checked_once_and_whole(
    server: GuardServer, guard: HttpGuard
) -> None:
    made = Made(guard, segment_chars="20")
    text = SENTENCE * 4
    assert stream(made.moderation, list(text), stream=False) == (text, None)
    assert server.asked == [("a question", text)]
    assert stream(made.moderation, [text, "poison"], stream=False) == ("", "Violent")


def test_reasoning_and_answer_are_checked_apart(server: GuardServer, guard: HttpGuard) -> None:
    screen = Made(guard).moderation.screen("q", stream=False)
    pieces = [*screen.feed([Piece("hm", True), Piece("yes", False)]), *screen.end()]
    assert pieces == [Piece("hm", True), Piece("yes", False)]
    assert server.asked == [("q", "hm"), ("q", "yes")]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [("pass", ("politics", None)), ("block", ("", "Politically Sensitive Topics"))],
)
def test_what_is_controversial_is_the_operators_choice(
    server: GuardServer, guard: HttpGuard, rule: str, expected: tuple[str, str | None]
) -> None:
    made = Made(guard, controversial=rule)
    assert stream(made.moderation, ["politics"]) == expected


def test_without_its_guard_an_answer_fails(server: GuardServer, guard: HttpGuard) -> None:
    server.away = True
    made = Made(guard)
    with pytest.raises(GuardAway) as raised:
        stream(made.moderation, [SENTENCE])
    assert (raised.value.status, raised.value.retry_after) == (503, 7)
    assert made.checks("away") == 1


def test_a_guard_that_need_not_be_there_is_counted(server: GuardServer, guard: HttpGuard) -> None:
    server.away = True
    made = Made(guard, required="false")
    assert stream(made.moderation, [SENTENCE]) == (SENTENCE, None)
    assert made.checks("away") == 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text(st.sampled_from("ab. 。\n3"), max_size=60), st.lists(st.integers(0, 60), max_size=5))
def test_the_chunks_change_neither_the_checks_nor_what_leaves(
    server: GuardServer, guard: HttpGuard, text: str, places: list[int]
) -> None:
    made = Made(guard, segment_chars="20")
    server.unsafe = ("ab.", "3a")
    ends = sorted({place % (len(text) + 1) for place in places} | {len(text)})
    chunks = [text[a:b] for a, b in zip([0, *ends], ends, strict=False)]
    server.asked.clear()
    whole = stream(made.moderation, [text])
    asked = list(server.asked)
    server.asked.clear()
    assert stream(made.moderation, chunks) == whole
    assert server.asked == asked
    server.unsafe = ("poison",)
    assert text.startswith(whole[0])
    assert not ({"ab.", "3a"} & {whole[0][at : at + n] for at in range(60) for n in (2, 3)})
