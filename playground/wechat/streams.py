"""Streams of an AI bot as a person sees them: one bubble each, that grows; written to by both modes of the bot.

What the platform refuses is told and counted; what it would show, but no good bot does (text that shrinks), is
shown and counted.
"""

import threading
from dataclasses import dataclass

from playground.wechat.ledger import Entry, Ledger
from playground.wechat.limits import STREAMS, BotLimits


@dataclass
class _Stream:
    """What was shown last; the bubble comes with the first content."""

    text: str = ""
    pictures: tuple[str, ...] = ()
    finished: bool = False
    entry: Entry | None = None


class Streams:
    """All streams of one bot. For all threads; a stream's contents are taken in the order of the calls."""

    def __init__(self, ledger: Ledger, limits: BotLimits) -> None:
        self._ledger = ledger
        self._limits = limits
        self._lock = threading.Lock()
        self._streams: dict[str, _Stream] = {}

    def show(
        self,
        stream: str,
        *,
        user: str,
        chat: str,
        msg_id: str,
        content: str,
        finish: bool,
        pictures: tuple[str, ...] = (),
    ) -> str:
        """Replace what the stream shows by `content`; "", or what is wrong with it."""
        wrong = self._fault(content)
        with self._lock:
            known = self._streams.setdefault(stream, _Stream())
            if len(self._streams) > STREAMS:
                del self._streams[next(iter(self._streams))]
            if not wrong and known.finished:
                return self._after_finish(known, content, finish, pictures)
            if wrong:
                self._ledger.count("stream_refused")
                return wrong
            self._take(known, stream, user, chat, msg_id, content, finish)
            known.pictures = pictures
            if known.entry is not None:
                known.entry.pictures = pictures
        return ""

    def finished(self, stream: str) -> bool:
        """Whether nothing more is asked for."""
        with self._lock:
            known = self._streams.get(stream)
            return known is not None and known.finished

    def _fault(self, content: str) -> str:
        try:
            size = len(content.encode())
        except UnicodeEncodeError:
            return "not utf-8"
        return "too long" if size > self._limits.content_bytes else ""

    def _after_finish(
        self, known: _Stream, content: str, finish: bool, pictures: tuple[str, ...]
    ) -> str:
        self._ledger.count("stream_repeated")
        if finish and (content, pictures) == (known.text, known.pictures):
            return ""
        self._ledger.count("stream_refused")
        return "finished already and changed"

    def _take(
        self,
        known: _Stream,
        stream: str,
        user: str,
        chat: str,
        msg_id: str,
        content: str,
        finish: bool,
    ) -> None:
        if not self._continues(known.text, content):
            self._ledger.count("stream_shrunk")
        changed = content != known.text or finish != known.finished
        known.text, known.finished = content, finish
        if not content and known.entry is None:
            return  # nothing is visible yet
        if known.entry is None:
            known.entry = self._ledger.show(
                user, "stream", content, msg_id=msg_id, chat=chat, stream=stream, surface="bot"
            )
            changed = True
        if changed:
            is_text = bool(content) and not self._is_progress(content)
            self._ledger.grow(known.entry, content, finish=finish, is_text=is_text)

    def _continues(self, before: str, content: str) -> bool:
        return self._is_progress(before) or content.startswith(before)

    def _is_progress(self, text: str) -> bool:
        return text.startswith(self._limits.progress_marks)
