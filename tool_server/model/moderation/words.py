"""The operator's word list: read from its file, and read again when the file changes; used by `Moderation`."""

import re
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import ahocorasick
import structlog

from tool_server.model.moderation.folding import LEFT, RIGHT, Folder, fold, waiting_bases

log = structlog.get_logger()

DEFAULT_CATEGORY = "listed"
# A list is read by a request's thread: these keep that under about two seconds.
FILE_BYTES = 16 * 1024 * 1024
ENTRIES = 200_000
# Characters of one entry, folded: as many may be held back from a reader.
ENTRY_CHARACTERS = 64
# How often the file is looked at, at most.
LOOK_S = 1.0

_CATEGORY = re.compile(r"([\w/.-]{1,64})(?:: +|：\s*)(?=\S)")


class ListError(Exception):
    """The file cannot be a word list; the text names the line and never its content."""


@dataclass(frozen=True)
class Entry:
    """One word that must not appear, by where it stands in the list."""

    category: str
    line: int


class WordList:
    """An automaton over folded entries; shared by all threads, never changed."""

    def __init__(self, lines: Iterable[str], *, skip: bool = True) -> None:
        """`skip`: separators between Han characters do not count. Raises `ListError`."""
        self.skip = skip
        self._automaton = ahocorasick.Automaton(ahocorasick.STORE_ANY, ahocorasick.KEY_STRING)
        waits: set[str] = set()
        self._add_all(lines, waits)
        if not len(self):
            raise ListError("no entry in it")
        self.waits = frozenset(waits)
        keys = [_text(key) for key in self._automaton.keys()]  # noqa: SIM118  (it has no other way)
        self.starts = frozenset(key[0] for key in keys)
        self.longest = max(map(len, keys))
        self.categories = tuple(sorted({entry.category for entry in self._automaton.values()}))
        self._automaton.make_automaton()

    def __len__(self) -> int:
        return len(self._automaton)

    def folder(self) -> Folder:
        return Folder(waits=self.waits, skip=self.skip)

    def find(self, text: str) -> list[Entry]:
        """The entries in a whole text, each once, in the order of their ends."""
        found = self._automaton.iter(_bytes(fold(text, skip=self.skip)))
        return list(dict.fromkeys(entry for _, entry in found))

    def first(self, folded: str) -> tuple[int, Entry] | None:
        """The entry that ends first in a folded text (the longest of several), and the index of its last character."""
        coded = _bytes(folded)
        for end, entry in self._automaton.iter(coded):
            return len(_text(coded[: end + 1])) - 1, entry
        return None

    def begin(self, folded: str) -> int:
        """The first index from which all the rest of a folded text is the beginning of an entry; else its length."""
        match, starts = self._automaton.match, self.starts
        for place in range(max(0, len(folded) - self.longest), len(folded)):
            if folded[place] in starts and match(_bytes(folded[place:])):
                return place
        return len(folded)

    def _add_all(self, lines: Iterable[str], waits: set[str]) -> None:
        for number, line in enumerate(lines, 1):
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            category, word = split(line)
            folded = fold(word, skip=self.skip).strip(" ")
            if not folded.strip(LEFT + RIGHT):
                raise ListError(f"line {number}: nothing is left of this entry when it is compared")
            if len(folded) > ENTRY_CHARACTERS:
                raise ListError(f"line {number}: more than {ENTRY_CHARACTERS} characters")
            if len(self._automaton) >= ENTRIES:
                raise ListError(f"line {number}: more than {ENTRIES} entries")
            if _bytes(folded) not in self._automaton:  # the first of two equal entries counts
                self._automaton.add_word(_bytes(folded), Entry(category, number))
            waits |= waiting_bases(word)


def _bytes(folded: str) -> str:
    """UTF-8 as one character a byte: the automaton looks through a node's branches one by one, so let there be few."""
    return folded.encode("utf-8", "surrogatepass").decode("latin-1")


def _text(coded: str) -> str:
    return coded.encode("latin-1").decode("utf-8", "surrogatepass")


def split(line: str) -> tuple[str, str]:
    """Category and word of one line: `category: word`, or the word alone."""
    found = _CATEGORY.match(line)
    return (found[1], line[found.end() :]) if found else (DEFAULT_CATEGORY, line)


def read(path: Path, *, skip: bool = True) -> WordList:
    """The list of a file in UTF-8. Raises `ListError`."""
    try:
        if path.stat().st_size > FILE_BYTES:
            raise ListError(f"more than {FILE_BYTES} bytes")
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ListError(f"line {line}: not UTF-8") from None
    except OSError as error:
        raise ListError(f"it cannot be read: {error.strerror}") from None
    return WordList(text.split("\n"), skip=skip)


class WordFile:
    """The newest good list of a file. A bad file changes nothing but `good` and the log."""

    def __init__(
        self, path: Path, *, skip: bool = True, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Raises `ListError` when the file is bad from the start."""
        self._path = path
        self._skip = skip
        self._clock = clock
        self._lock = threading.Lock()
        self._looked = clock()
        self._seen = self._settling = _signature(path)
        self._list = read(path, skip=skip)
        self.good = True

    def current(self) -> WordList:
        """The list to check with. Who finds the file changed reads it; others go on with the last one meanwhile."""
        if self._clock() - self._looked >= LOOK_S and self._lock.acquire(blocking=False):
            try:
                self._look()
            finally:
                self._looked = self._clock()
                self._lock.release()
        return self._list

    def _look(self) -> None:
        """Read a file that changed and then stayed the same from one look to the next: it is written whole."""
        signature = _signature(self._path)
        settled, self._settling = signature == self._settling, signature
        if signature == self._seen or not settled:
            return
        self._seen = signature
        try:
            self._list = read(self._path, skip=self._skip)
        except ListError as error:
            self.good = False
            log.error("moderation.list_bad", reason=str(error), kept=len(self._list))
        else:
            self.good = True
            log.info("moderation.list_read", entries=len(self._list))


def _signature(path: Path) -> tuple[int, int, int] | None:
    """What changes when the file does."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
