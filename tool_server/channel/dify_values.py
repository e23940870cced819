"""What goes to a Dify app and what comes back, as values; made by `dify` and `dify_run`, used by `ask` and `answer`."""

from dataclasses import dataclass
from typing import Literal

from tool_server.channel.surface import MediaKind

type Rating = Literal["like", "dislike", ""]


class DifyError(Exception):
    """The app gave no answer. `retry` where a later try may help; `code` as Dify names it."""

    def __init__(self, code: str, message: str, *, retry: bool) -> None:
        super().__init__(message)
        self.code = code
        self.retry = retry


class UnknownConversation(DifyError):
    """Dify does not know this conversation (any more), or it belongs to another person."""

    def __init__(self) -> None:
        super().__init__("not_found", "Dify does not know this conversation.", retry=True)


@dataclass(frozen=True)
class Attachment:
    """A file that Dify holds for a person, to go with a question; `kind` is Dify's word."""

    kind: Literal["image", "document", "audio", "video"]
    upload_id: str


@dataclass(frozen=True)
class Question:
    """What an app is asked: by whom, in which conversation ("" begins one), with which ticket and files."""

    text: str
    user: str
    conversation: str
    ticket: str
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True)
class Started:
    """The first event of a run: the ids under which it can be found again."""

    task: str
    message: str
    conversation: str
    run: str = ""  # of the app's workflow; an app without one has none


@dataclass(frozen=True)
class Growing:
    """How far a run is: its text so far, raw, and the title of the node that works while there is none.

    It also comes, unchanged, with each sign of life of a silent stream.
    """

    text: str
    progress: str


@dataclass(frozen=True)
class Source:
    """A passage that the model was given: its title, its text and, where Dify tells it, its address."""

    title: str
    content: str
    url: str = ""


@dataclass(frozen=True)
class Produced:
    """A picture or a file that belongs to an answer, at an address that may be foreign: fetch it with `download`."""

    kind: MediaKind
    url: str
    name: str = ""


@dataclass(frozen=True)
class Answered:
    """The end of a run: its whole text, with the passages that the model was given and the files that it made.

    `stopped` says that its person wanted no more of it: the text is what was said so far.
    """

    text: str
    conversation: str
    sources: tuple[Source, ...] = ()
    files: tuple[Produced, ...] = ()
    stopped: bool = False


@dataclass(frozen=True)
class Outcome:
    """How far a workflow's run is; `text` is its answer, empty while it runs and where it made none."""

    running: bool
    text: str = ""


@dataclass(frozen=True)
class Found:
    """A message that Dify has on record; `text` is empty while it runs, and for ever if its reader went away."""

    message: str
    conversation: str
    text: str
    failed: bool
    sources: tuple[Source, ...] = ()
    files: tuple[Produced, ...] = ()
