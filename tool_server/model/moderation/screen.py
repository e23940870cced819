"""Words checked in an answer before it leaves, piece by piece, like `StopStrings`; made per answer by `Moderation`."""

from collections.abc import Sequence

from tool_server.model.moderation.folding import Token
from tool_server.model.moderation.words import Entry, WordList


class Screen:
    """Gives out what may leave; holds back what may still become an entry of the list.

    What leaves depends on the whole text alone, never on how it was cut. A hit is the entry that ends first; what was
    held back at that moment never leaves.
    """

    def __init__(self, words: WordList) -> None:
        self._words = words
        self._folder = words.folder()
        self._raw = ""  # what was fed and has not left
        self._left = 0  # how many characters have left
        self._trail = ""  # folded text since the first place where an entry may have begun
        self._places: list[int] = []  # of each character of the trail, its index in the raw text
        self.found: Entry | None = None

    @property
    def hit(self) -> str | None:
        """The category of the entry that was found."""
        return self.found.category if self.found else None

    def feed(self, text: str) -> str:
        """What may leave now; after a hit nothing more."""
        if self.found:
            return ""
        self._raw += text
        hold = self._match(self._folder.feed(text))
        return self._release(self._folder.undecided(self._words.starts) if hold is None else hold)

    def end(self) -> str:
        """What was held back, as nothing follows; may still be a hit. Another text may be fed after it."""
        if self.found:
            return ""
        hold = self._match(self._folder.end())
        return self._release(hold if self.found and hold is not None else self._folder.consumed)

    def _match(self, tokens: Sequence[Token]) -> int | None:
        """Index of the first raw character that belongs to an entry, whole or begun; None: there is none."""
        self._trail += "".join([char for char, _ in tokens])
        self._places += [at for _, at in tokens]
        first = self._words.first(self._trail)
        if first is not None:
            end, self.found = first
            return self._places[self._words.begin(self._trail[:end])]
        begin = self._words.begin(self._trail)
        self._trail, self._places = self._trail[begin:], self._places[begin:]
        return self._places[0] if self._places else None

    def _release(self, hold: int) -> str:
        """Let out the raw text before `hold`; after a hit the rest is gone."""
        count = max(0, hold - self._left)
        out, self._raw = self._raw[:count], "" if self.found else self._raw[count:]
        self._left += count
        return out
