"""The check of one answer on its way out: reasoning and text apart, words first, then the guard; called by `chat`."""

from collections.abc import Callable, Iterable, Iterator

from tool_server.model.moderation.guard import Gate
from tool_server.model.moderation.screen import Screen
from tool_server.model.moderation.words import Entry
from tool_server.model.text import Piece


class Checks:
    """The checks of one kind of text: what passes the words goes on to the guard."""

    def __init__(
        self, screen: Screen | None, gate: Gate | None, record: Callable[[Entry | None], None]
    ) -> None:
        """`record` gets the listed word that ended the answer, or None at the end of a text without one."""
        self._screen = screen
        self._gate = gate
        self._record = record
        self._recorded = False

    @property
    def hit(self) -> str | None:
        """The category that ended the answer."""
        found = self._screen.hit if self._screen else None
        return found or (self._gate.hit if self._gate else None)

    def feed(self, text: str) -> str:
        if self._screen:
            text = self._screen.feed(text)
            if self._screen.found:
                self._end_screen(self._screen)
        if self._gate:
            text = self._gate.feed(text)
            if self._screen and self._screen.found:  # nothing follows: judge what is held
                text += self._gate.end()
        return text

    def end(self) -> str:
        text = ""
        if self._screen:
            text = self._screen.end()
            self._end_screen(self._screen)
        return self._gate.feed(text) + self._gate.end() if self._gate else text

    def _end_screen(self, screen: Screen) -> None:
        if not self._recorded:
            self._recorded = True
            self._record(screen.found)


class AnswerScreen:
    """All that leaves of an answer passes through here. Without any check it passes as it is."""

    def __init__(self, answer: Checks | None, reasoning: Checks | None) -> None:
        self._checks = {False: answer, True: reasoning}
        self._reasoning = False  # the kind of the last piece

    @property
    def hit(self) -> str | None:
        """The category that ended the answer: nothing more leaves."""
        return next((c.hit for c in self._checks.values() if c is not None and c.hit), None)

    def feed(self, pieces: Iterable[Piece]) -> Iterator[Piece]:
        """What may leave of these pieces. Raises `GuardAway`."""
        for piece in pieces:
            if self._reasoning and not piece.reasoning:
                yield from self._end(reasoning=True)  # clients show it before the answer begins
            self._reasoning = piece.reasoning
            checks = self._checks[piece.reasoning]
            if self.hit:
                return
            yield from _piece(checks.feed(piece.text) if checks else piece.text, piece.reasoning)

    def end(self) -> Iterator[Piece]:
        """What was held back, once nothing follows. Raises `GuardAway`."""
        for reasoning in (True, False):
            yield from self._end(reasoning=reasoning)

    def _end(self, *, reasoning: bool) -> Iterator[Piece]:
        checks = self._checks[reasoning]
        if checks and not self.hit:
            yield from _piece(checks.end(), reasoning)


def _piece(text: str, reasoning: bool) -> Iterator[Piece]:
    if text:
        yield Piece(text, reasoning)
