"""What the surfaces have in common: the values that cross their border, and the verbs that each of them has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from tool_server.channel.account import Account
from tool_server.words import Language


class Refused(Exception):
    """A callback that is not to be trusted; the reason is for the log, never for the sender."""


@dataclass(frozen=True)
class Callback:
    """A request of the platform as it arrived; `relayed` when it came through the Dify endpoint."""

    query: Mapping[str, str]
    body: bytes = b""
    relayed: bool = False


type MediaKind = Literal["image", "voice", "video", "file"]


@dataclass(frozen=True)
class Media:
    """Something that came with a message and lies with the platform: a media id, or an address with its key."""

    kind: MediaKind
    ref: str
    key: str = ""  # base64 of the AES key of an encrypted address
    name: str = ""


@dataclass(frozen=True)
class Address:
    """Where an answer goes: a person, perhaps in a group, and what the surface keeps to answer by (JSON)."""

    user: str
    chat: str = ""
    handle: str = ""


@dataclass(frozen=True)
class Incoming:
    """One message of a person, decoded and verified. Events have the kind `event` and a name in `event`."""

    dedupe_key: str
    platform_id: str
    user: str
    kind: str
    text: str
    sent_at: int
    chat: str = ""  # a group's id; empty in a single chat
    event: str = ""  # enter, click, card, feedback, … as `kinds` knows them
    data: str = ""  # what else an event carries, as the platform's JSON
    media: tuple[Media, ...] = ()
    quote: str = ""
    handle: str = ""

    @property
    def address(self) -> Address:
        return Address(self.user, self.chat, self.handle)


@dataclass(frozen=True)
class Refresh:
    """The platform asks how far a stream has come."""

    stream: str


@dataclass(frozen=True)
class Pull:
    """There are messages to fetch; `token` makes the call cheap for ten minutes."""

    source: str
    token: str


type Received = Incoming | Refresh | Pull


@dataclass(frozen=True)
class Text:
    """A piece of text, already in the surface's markup."""

    text: str


@dataclass(frozen=True)
class File:
    """A picture, a voice message, a video or a file that the platform holds already under `media_id`."""

    kind: MediaKind
    media_id: str


@dataclass(frozen=True)
class Picture:
    """A picture that a finished stream carries itself (JPEG or PNG); an answer that is sent leads to its `url`."""

    name: str
    url: str
    data: bytes


@dataclass(frozen=True)
class Choices:
    """A text with questions below it that one press asks; only a surface that has such buttons is given one."""

    text: str
    heading: str = ""
    questions: tuple[str, ...] = ()

    @property
    def plain(self) -> str:
        """The same to be read."""
        if not self.questions:
            return self.text
        listed = (f"· {question}" for question in self.questions)
        return "\n".join([self.text, "", self.heading, *listed])


@dataclass(frozen=True)
class Thumbs:
    """Two buttons below an answer, whether it helped; only a surface with buttons is given one.

    `task` names the answer in the event of a press: its message's `stream_id`.
    """

    task: str
    language: Language


@dataclass(frozen=True)
class Card:
    """What a tool of the app sends beside the answer: a title, a text, a link, and questions that buttons ask.

    `task` is unique, of letters and digits. Bounds: `reply_card`.
    """

    title: str
    text: str
    link: str
    asks: tuple[str, ...]
    task: str
    language: Language


@dataclass(frozen=True)
class HandOver:
    """The conversation goes to a human; comes last, and only where a surface has humans (customer service)."""


type Content = Text | File | Picture | Choices | Thumbs | Card | HandOver


def words_of(content: Content) -> str:
    """What a person reads of it, as far as it is an answer; empty for what is no text."""
    match content:
        case Text(text):
            return text
        case Choices():
            return content.plain
        case _:
            return ""


@dataclass(frozen=True)
class Limits:
    """What a surface can carry. Bytes are of UTF-8; `number_bytes` of a piece are kept for its number.

    `first` is what a callback gets: an answer in time (passive), a growing one (stream), or nothing (push).
    `pieces` bounds what one message of a person may be answered with; 0 is no bound.
    """

    piece_bytes: int
    number_bytes: int
    first: Literal["passive", "stream", "push"]
    markup: Literal["plain", "subset", "full"]
    pieces: int = 0
    stream_s: float = 0.0  # a stream may grow this long after its message
    stream_pictures: int = 0  # that its finish may carry itself
    choices: int = 0  # questions that may stand below a text as buttons


@dataclass(frozen=True)
class Shown:
    """How far a stream is: all of its content so far. `first` in the answer to the message itself."""

    stream: str
    content: str
    finish: bool
    first: bool = False
    pictures: Sequence[Picture] = ()  # with the finish only


class Api(Protocol):
    """What a surface sends with: calls of the platform with the account's token. See `wecom_api`."""

    def call(self, account: Account, path: str, body: str) -> Mapping[str, object]: ...

    def post(self, url: str, body: str) -> Mapping[str, object]: ...


class Surface(Protocol):
    """The verbs of one surface. A module of `surfaces/` is one."""

    @property
    def LIMITS(self) -> Limits: ...  # noqa: N802  (a module's constant)

    def verify(self, account: Account, callback: Callback) -> str:
        """Answer of the address check; raises `Refused`."""

    def decode(
        self, account: Account, callback: Callback, *, window_s: int, now: float
    ) -> Received:
        """What a callback brings; raises `Refused`."""

    def seal_reply(self, account: Account, to: Address, text: str, *, now: float) -> bytes:
        """The bytes of a passive reply; made once, every delivery of the message gets the same."""

    def bodies(
        self,
        account: Account,
        to: Address,
        contents: Sequence[Content],
        *,
        message_id: int,
        first: int = 1,
    ) -> list[str]:
        """The requests that push these contents, in order; made once, a retry sends exactly these bytes.

        `first` is the number of the first one among all that go to this message.
        """

    def send(self, api: Api, account: Account, body: str) -> str:
        """Push one of them; the platform's id of it. Raises `wecom_api.SendError`."""


class StreamSurface(Surface, Protocol):
    """A surface whose callbacks are answered with streams; every reply is sealed for the callback that it answers."""

    def stream_reply(self, shown: Shown) -> bytes:
        """The reply that shows how far a stream is."""

    def enclose(self, account: Account, callback: Callback, reply: bytes, *, now: float) -> bytes:
        """The body that carries a reply back to the sender of this callback."""
