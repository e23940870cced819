"""From what an app answered to what goes to the platform: text in pieces, files, a page for what is too long.

Called by `compose`; the worker stores what comes out before anything is sent.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from urllib.parse import urlsplit

import sqlalchemy as sa

from tool_server.channel import answer, markup, replies
from tool_server.channel.account import Account, WeComApp, WeComKf
from tool_server.channel.answer import Rendered, joined
from tool_server.channel.dify import Answered, Produced
from tool_server.channel.download import Downloader
from tool_server.channel.job import Job
from tool_server.channel.language import language_for
from tool_server.channel.links import Links
from tool_server.channel.markup import Style, look_alike
from tool_server.channel.outbound import Outbound, Sent, Uploads
from tool_server.channel.page import Page, Pages
from tool_server.channel.public import public_of
from tool_server.channel.schema import messages
from tool_server.channel.split import first_piece, split
from tool_server.channel.surface import Content, Limits, Text, Thumbs
from tool_server.database import Database
from tool_server.settings import Settings
from tool_server.words import Language, say

KIND_WORDS = {"image": "a_picture", "voice": "a_voice", "video": "a_video", "file": "a_file"}
LOST_NAMED = 5
# A foot that takes more of a piece than this leaves the piece to the answer.
FOOT_SHARE = 0.5


@dataclass(frozen=True)
class Finisher:
    """Finishes answers; holds nothing of one between two calls."""

    settings: Settings
    database: Database
    pages: Pages
    outbound: Outbound

    @classmethod
    def open(
        cls,
        settings: Settings,
        database: Database,
        downloader: Downloader,
        uploads: Uploads,
        apart: Mapping[str, Uploads] = MappingProxyType({}),
    ) -> "Finisher":
        pages = Pages.open(settings, database)
        hosts = _listed(settings.channel_media_hosts)
        return cls(settings, database, pages, Outbound(downloader, uploads, hosts, apart))

    def finish(
        self, job: Job, account: Account, limits: Limits, answered: Answered
    ) -> list[Content]:
        """The contents of the answer, in order, no more than the surface and the settings allow; at least one."""
        most = max(1, _most(limits, self.settings) - self._replies(job))
        asks = most > 1 and _asks(account)
        most -= asks
        sent = self._send_files(account, limits, answered, most)
        style = self._style(job, account, limits, answered, sent)
        answered = self._bounded(answered, style.language)
        if not self.outbound.takes(account):
            answered = _with_links(answered, sent.pictures, style.language)
        rendered = _with_lost(answer.render(answered, account, style), sent.lost, style.language)
        texts = answer.pieces(rendered.whole, limits)
        room = most - len(sent.files)
        if len(texts) > room:
            link = self._page(job, account, answered, style)
            texts = shortened(rendered, link, limits, style.language, room=room)
        if not texts and limits.stream_s:  # what has grown ends with words
            texts = [say(KIND_WORDS[answered.files[0].kind], style.language)]
        thumbs = [self._thumbs(job, style.language)] if asks else []
        return [*map(Text, texts), *sent.files, *sent.pictures.values(), *thumbs]

    def _style(
        self, job: Job, account: Account, limits: Limits, answered: Answered, sent: Sent
    ) -> Style:
        """Links lead to the sources, to our own pages, to the hosts of the settings, and to no others."""
        public = public_of(self.settings, job.account, account)
        own = [public.base, public.callback, self.settings.knowledge_public_url]
        if not self.outbound.takes(account) and len(sent.pictures) < len(answered.files):
            own.append(account.dify_url)  # its files stay links
        hosts = [*_listed(self.settings.channel_link_hosts), *(urlsplit(url).netloc for url in own)]
        links = Links.of((source.url for source in answered.sources), hosts)
        language = language_for(self.database, job, account)
        return answer.style_of(account, limits, language, links)

    def _send_files(self, account: Account, limits: Limits, answered: Answered, most: int) -> Sent:
        """Files that are left with the platform, or pictures that a stream carries itself; all others stay links."""
        if self.outbound.takes(account):
            return self.outbound.send(account, answered.files, most=most - 1)
        if not limits.stream_pictures:
            return Sent()
        limit = self.settings.channel_bot_pictures_kb * 1024
        return self.outbound.carry(
            account, answered.files, most=limits.stream_pictures, limit=limit
        )

    def _bounded(self, answered: Answered, language: Language) -> Answered:
        """No more of a model that does not stop than can be rendered in a moment."""
        text = answer.strip_reasoning(answered.text)
        most = self.settings.channel_answer_characters
        if len(text) <= most:
            return answered
        return replace(answered, text=joined(text[:most], say("cut_short", language)))

    def _thumbs(self, job: Job, language: Language) -> Thumbs:
        task = sa.select(messages.c.stream_id).where(messages.c.id == job.id)
        return Thumbs(self.database.read(lambda db: db.scalar(task)) or "", language)

    def _page(self, job: Job, account: Account, answered: Answered, style: Style) -> str:
        """The line that leads to a page with the whole answer; empty where there can be none.

        An answer that rests on passages that not everybody may see is shown to its asker alone, who must sign in; where
        people cannot sign in it has no page.
        """
        alone = self._restricted(job)
        public = public_of(self.settings, job.account, account)
        if not public.base or (alone and (job.chat or not isinstance(account, WeComApp))):
            return ""
        whole = answer.render(answered, account, replace(style, markup="full", anchors=False)).whole
        page = Page(
            message_id=job.id,
            account=job.account,
            user=job.user if alone else "",
            text=whole,
            language=style.language,
            expires_at=self.pages.expiry(),
        )
        url = public.page(self.pages.keep(page))
        return markup.render(f"[{say('whole_answer', style.language)}](<{url}>)", style)

    def _replies(self, job: Job) -> int:
        """Cards and files of tools that go out behind the answer."""
        return self.database.read(lambda db: replies.count(db, job.id))

    def _restricted(self, job: Job) -> bool:
        """Whether a passage that not everybody may see was given out in this conversation: memory repeats it."""
        given = sa.select(messages.c.id).where(
            messages.c.conversation == job.conversation, messages.c.restricted
        )
        return self.database.read(lambda db: db.scalar(given.limit(1))) is not None


def shortened(
    rendered: Rendered, link: str, limits: Limits, language: Language, *, room: int
) -> list[str]:
    """What fits of an answer: one piece with the link to all of it or, without a link, `room` pieces and a sentence."""
    if link:
        return [_ending(rendered.body, joined(link, _foot(rendered, limits)), limits.piece_bytes)]
    note = joined(say("cut_short", language), _foot(rendered, limits))
    if room <= 1:
        return [_ending(rendered.body, note, limits.piece_bytes)]
    each = answer.room_of(limits)
    *first, last = split(rendered.body, each)[:room]
    return answer.numbered([*first, _ending(last, note, each)])


def _ending(text: str, note: str, limit: int) -> str:
    """The beginning of a text, with a note below it, in `limit` bytes."""
    head, _ = first_piece(text, limit - len(f"\n\n{note}".encode()))
    return joined(head, note)


def _foot(rendered: Rendered, limits: Limits) -> str:
    """The foot, or its last line where it is too long: who wrote the answer is always said."""
    if len(rendered.foot.encode()) <= limits.piece_bytes * FOOT_SHARE:
        return rendered.foot
    last = rendered.foot.rpartition("\n\n")[2]
    return last if len(last.encode()) <= limits.piece_bytes * FOOT_SHARE else ""


def _asks(account: Account) -> bool:
    """Whether people are asked if an answer helped."""
    return isinstance(account, WeComApp | WeComKf) and account.feedback


def _most(limits: Limits, settings: Settings) -> int:
    """Messages that this answer may have."""
    return min(bound for bound in (limits.pieces, settings.channel_pieces) if bound)


def _with_lost(rendered: Rendered, lost: Sequence[Produced], language: Language) -> Rendered:
    """With a sentence that says which files are missing."""
    if not lost:
        return rendered
    names = [file.name or say(KIND_WORDS[file.kind], language) for file in lost[:LOST_NAMED]]
    listed = say("list", language).join(look_alike(name) for name in names)
    return replace(rendered, body=joined(rendered.body, say("files_lost", language).format(listed)))


def _with_links(answered: Answered, shown: Collection[Produced], language: Language) -> Answered:
    """With a link to each file that is not shown and that the text does not lead to."""
    links = [
        f"[{look_alike(file.name) or say(KIND_WORDS[file.kind], language)}](<{file.url}>)"
        for file in answered.files
        if file not in shown and file.url not in answered.text
    ]
    return replace(answered, text=joined(answered.text, *links))


def _listed(setting: str) -> list[str]:
    return [part.strip() for part in setting.split(",") if part.strip()]
