"""What a job of ingestion is, for all who make, do or show one."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from tool_server.access import Right
from tool_server.errors import BadRequest
from tool_server.knowledge.document import BASE_NAME

type Kind = Literal["folders", "upload", "urls"]
STATES = ("queued", "running", "done", "failed", "cancelled")
ENDED = ("done", "failed", "cancelled")
OUTCOMES = ("waiting", "indexed", "unchanged", "moved", "withdrawn", "refused", "cancelled")

type Name = Annotated[str, StringConstraints(min_length=1, max_length=100)]
type Text = Annotated[str, StringConstraints(max_length=1000)]


class About(BaseModel):
    """What is said about all files of an upload or of a list of pages, beside what stands in them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    access: tuple[Right, ...] = Field((), max_length=1000)  # none: whoever may see the base
    metadata: Mapping[Name, Text | float] = Field(default_factory=dict, max_length=100)
    title: str = Field("", max_length=500)
    url: str = Field("", max_length=1000)


class Request(BaseModel):
    """What a job was asked to do."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    paths: tuple[str, ...] = ()  # absolute, of files and folders
    delete: bool = True  # take back what has vanished from a folder
    force: bool = False  # however much that is
    about: About = Field(default_factory=About)


@dataclass(frozen=True)
class Job:
    """A job as it is now. Times are seconds since 1970."""

    id: int
    base: str
    kind: Kind
    request: str
    state: str
    stage: str
    scan: bool
    owner: str
    cancel: bool
    attempts: int
    stalled: int
    reason: str
    current: str
    files_total: int
    files_done: int
    files_refused: int
    documents: int
    changed: int
    withdrawn: int
    passages: int
    bytes_total: int
    bytes_done: int
    bytes_read: int
    worked_s: float
    created_at: float
    started_at: float | None
    finished_at: float | None
    heartbeat_at: float | None

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def passages_per_s(self) -> float:
        return round(self.passages / self.worked_s, 1) if self.worked_s > 0 else 0.0

    @property
    def eta_s(self) -> float | None:
        """Seconds until it is done, by the bytes that it has read; None where that cannot be said yet."""
        if self.state != "running" or self.stage != "reading" or not self.bytes_read:
            return None
        left = max(0, self.bytes_total - self.bytes_done)
        return round(left * self.worked_s / self.bytes_read, 1)

    def as_json(self) -> dict[str, object]:
        """What HTTP shows: without the owner's name and what only the queue needs."""
        hidden = ("request", "scan", "owner", "cancel", "stalled", "bytes_read", "worked_s")
        shown = {name: value for name, value in asdict(self).items() if name not in hidden}
        return {**shown, "passages_per_s": self.passages_per_s, "eta_s": self.eta_s}


@dataclass(frozen=True)
class Item:
    """A file of a job: what is to be done with it, and what became of it."""

    id: int
    job_id: int
    location: str
    name: str
    path: str
    action: str
    file_id: int | None
    size: int
    state: str
    reason: str
    hash: str
    stored: int
    documents: int
    changed: int
    withdrawn: int
    passages: int

    def as_json(self) -> dict[str, object]:
        names = ("id", "name", "size", "state", "reason", "documents", "passages", "withdrawn")
        return {name: getattr(self, name) for name in names}


def check_base(base: str) -> None:
    """Raises `BadRequest` for a name that no base can have."""
    if not BASE_NAME.fullmatch(base):
        raise BadRequest(
            "A base's name has 1 to 64 small letters, digits, '-' and '_'.", param="base"
        )
