"""Text in the form in which words are compared, with the place of each character; used by `words` and `screen`.

NFKC without case, marks composed, invisible characters dropped, white space as one space, separators between Han
characters dropped. The edges of words in spaced scripts are characters of their own, LEFT and RIGHT: an entry "ass"
becomes LEFT+"ass"+RIGHT and so never matches inside "class", while a Chinese entry has no edges and matches anywhere.
"""

import itertools
import re
import unicodedata

from tool_server.model.moderation import characters
from tool_server.model.moderation.characters import Role, fold_segment, joins, look, role_of
from tool_server.model.moderation.marks import MARKS, bound_marks

LEFT, RIGHT = "\x01", "\x02"
# Separators in one gap, past which it is no spelling of a word any more.
SEPARATORS = 16

type Token = tuple[str, int]
"""A folded character and the index of the raw character it comes from."""

_IGNORED = re.compile(f"[{characters.IGNORED}]")
_BLANKS = re.compile(r"\s+")
_SKIPPED = re.compile(
    f"(?<=[{characters.HAN}])[{characters.SEPARATOR}{characters.BLANK}]{{1,{SEPARATORS}}}(?=[{characters.HAN}])"
)


class Folder:
    """Folds a growing text. A character whose base is in `waits` is folded once it is sure that no mark follows."""

    def __init__(self, *, waits: frozenset[str] | None = frozenset(), skip: bool = True) -> None:
        """`waits` None: wait for marks at each character. `skip`: drop separators between Han characters."""
        self._waits = waits
        self._skip = skip
        self._segment = ""
        self._segment_at = 0
        self._separators: list[tuple[str, Role, int]] = []
        self._before = Role.OTHER
        self.consumed = 0

    def feed(self, text: str) -> list[Token]:
        """The tokens that are certain now."""
        tokens: list[Token] = []
        waits = self._waits
        for at, char in enumerate(text, self.consumed):
            folded, base, ignored, joining = look(char)
            if ignored:
                continue
            if self._segment:
                if joining:
                    self._segment += char if len(self._segment) <= MARKS else ""
                    continue
                self._close(tokens)
            if waits is None or base in waits:
                self._segment, self._segment_at = char, at
            else:
                for folded_char, role in folded:
                    self._add(tokens, folded_char, role, at)
        self.consumed += len(text)
        return tokens

    def end(self) -> list[Token]:
        """What was open, as at the end of a text; another text may follow."""
        tokens: list[Token] = []
        self._close(tokens)
        self._keep_separators(tokens)
        if self._before is Role.WORD:
            tokens.append((RIGHT, self.consumed))
        self._before = Role.OTHER
        return tokens

    def undecided(self, starts: frozenset[str]) -> int:
        """Index of the first raw character without a token that may begin with one of `starts`."""
        for char, _, at in self._separators:
            if char in starts:
                return at
        return self._segment_at if self._segment else self.consumed

    def _close(self, tokens: list[Token]) -> None:
        segment, self._segment = self._segment, ""
        for char in fold_segment(segment):
            self._add(tokens, char, role_of(char), self._segment_at)

    def _add(self, tokens: list[Token], char: str, role: Role, at: int) -> None:
        if role >= Role.SEPARATOR or self._separators:
            if self._skips(tokens, char, role, at):
                return
            char = " " if role >= Role.BLANK else char
        if role is Role.WORD:
            if self._before is not Role.WORD:
                tokens.append((LEFT, at))
        elif self._before is Role.WORD:
            tokens.append((RIGHT, at))
        tokens.append((char, at))
        self._before = role

    def _skips(self, tokens: list[Token], char: str, role: Role, at: int) -> bool:
        """Whether a character is dropped, for now at least: between Han characters, or after another blank."""
        if self._before is Role.HAN and self._skip:
            if role is Role.HAN:
                self._separators.clear()
            elif role in (Role.SEPARATOR, Role.BLANK) and len(self._separators) < SEPARATORS:
                self._separators.append((char, role, at))
                return True
            else:
                self._keep_separators(tokens)
        return role >= Role.BLANK and self._before >= Role.BLANK

    def _keep_separators(self, tokens: list[Token]) -> None:
        """They are not between Han characters after all."""
        separators, self._separators = self._separators, []
        for char, role, at in separators:
            if role is Role.SEPARATOR:
                tokens.append((char, at))
            elif self._before < Role.BLANK:
                tokens.append((" ", at))
            self._before = role


def fold(text: str, *, skip: bool = True) -> str:
    """A whole text at once; the same as a `Folder` that waits everywhere, but fast and without places."""
    text = fold_segment(bound_marks(_IGNORED.sub("", text)))
    if skip:
        text = _SKIPPED.sub("", text)
    return characters.words().sub(LEFT + r"\g<0>" + RIGHT, _BLANKS.sub(" ", text))


def waiting_bases(text: str) -> frozenset[str]:
    """Bases of `text` that carry marks, or would be another letter with one: a folder has to wait there.

    The second kind are kana at the end of an entry, which a sound mark changes.
    """
    folded = fold_segment(_IGNORED.sub("", text))
    apart = unicodedata.normalize("NFKD", folded)
    bases = {a for a, b in itertools.pairwise(apart) if joins(b) and not joins(a)}
    last = folded[-1:]
    if len(unicodedata.normalize("NFC", last + "\u3099")) == 1:
        bases.add(last)
    return frozenset(bases)
