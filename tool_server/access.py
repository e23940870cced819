"""Who asks: the value that a message's ticket stands for; made by the channel, used by knowledge."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Asker:
    """The person behind a question, as the platform told us; never taken from a model's output."""

    account: str
    user: str
    departments: tuple[int, ...] = ()
    chat_type: Literal["single", "group"] = "single"
    chat: str = ""
