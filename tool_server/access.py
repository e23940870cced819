"""Who asks: the value that a message's ticket stands for, made by the channel, used by knowledge; and words of rights,
which stand in the key file, on bases and on documents."""

import re
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator

PUBLIC = "public"
# A key with this right sees everything: the editor's, never one that stands in Dify.
EVERYTHING = "*"
RIGHT = re.compile(r"public|(?:user|group):[^/\s]{1,64}/\S{1,128}|department:[^/\s]{1,64}/\d{1,18}")


@dataclass(frozen=True)
class Asker:
    """The person behind a question, as the platform told us; never taken from a model's output."""

    account: str
    user: str
    departments: tuple[int, ...] = ()
    chat_type: Literal["single", "group"] = "single"
    chat: str = ""
    closed: str = ""  # digest of the bases that are closed to them; opens and closes nothing itself


def right(value: str) -> str:
    """A word that a base or a document may ask for. Raises `ValueError`."""
    if not RIGHT.fullmatch(value):
        raise ValueError(
            "write public, user:<account>/<user>, department:<account>/<number> or group:<account>/<chat>"
        )
    return value


def own_right(value: str) -> str:
    """A word that a key may have: a right, or all of them. Raises `ValueError`."""
    return value if value == EVERYTHING else right(value)


type Right = Annotated[str, AfterValidator(right)]
type OwnRight = Annotated[str, AfterValidator(own_right)]
