"""What a Dify app declares, kept for some minutes: its opening, its starter questions, the files that it takes."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tool_server.channel.account import Account
from tool_server.channel.dify import Dify

# Dify's own default for files of one question.
FILES = 3
# Apps whose profile is kept; one more and the oldest goes.
KEPT = 1000


@dataclass(frozen=True)
class Profile:
    """An app as a person meets it. `takes` are Dify's groups of files, empty where it takes none."""

    opening: str
    questions: tuple[str, ...]
    takes: frozenset[str]
    files: int


class Apps:
    """Asks Dify at most once in `keep_s` for each app."""

    def __init__(
        self, dify: Dify, *, keep_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._dify = dify
        self._keep_s = keep_s
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, str], tuple[float, Profile]] = {}

    def profile(self, account: Account) -> Profile:
        """The account's app. Raises `DifyError`."""
        name = (account.dify_url, account.dify_key.get_secret_value())
        with self._lock:
            until, known = self._kept.get(name, (0.0, None))
        if known is not None and self._clock() < until:
            return known
        profile = read(self._dify.parameters(account))
        with self._lock:
            self._kept.pop(name, None)
            self._kept[name] = (self._clock() + self._keep_s, profile)
            if len(self._kept) > KEPT:
                del self._kept[next(iter(self._kept))]
        return profile


def read(parameters: Mapping[str, Any]) -> Profile:
    """The profile in an answer of `/parameters`."""
    upload = parameters.get("file_upload") or {}
    questions = [str(one).strip() for one in parameters.get("suggested_questions") or []]
    return Profile(
        opening=str(parameters.get("opening_statement") or "").strip(),
        questions=tuple(question for question in questions if question),
        takes=frozenset(_takes(upload)),
        files=int(upload.get("number_limits") or FILES),
    )


def _takes(upload: Mapping[str, Any]) -> list[str]:
    """The groups of `allowed_file_types`; older apps have a switch for pictures alone. "custom" is a list of endings,
    which stands for documents here."""
    if upload.get("enabled"):
        named = [str(one) for one in upload.get("allowed_file_types") or []]
        return ["document" if one == "custom" else one for one in named] or ["image"]
    return ["image"] if (upload.get("image") or {}).get("enabled") else []
