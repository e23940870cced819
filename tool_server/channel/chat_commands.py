"""What a person may write to the assistant itself, in Chinese and English; for `kinds` and `compose`.

In a group a command stands behind the mention of the assistant. What begins with a slash and is no command is a
question. What a command does stands in `carry_out`.
"""

import re
from collections.abc import Mapping
from typing import Literal

type Command = Literal["new", "stop", "help"]

WORDS: Mapping[str, Command] = {
    "/new": "new",
    "/新对话": "new",
    "/新会话": "new",
    "新对话": "new",
    "新会话": "new",
    "/stop": "stop",
    "/停止": "stop",
    "/help": "help",
    "/帮助": "help",
}
# What a menu's button may send as its key, besides the words themselves.
KEYS: Mapping[str, Command] = {"new": "new", "stop": "stop", "help": "help"}
# A mention ends with U+2005 in WeChat, and then its name may hold spaces; else with the first space.
MENTION = re.compile(r"\s*@(?:[^\u2005\n]{1,64}\u2005|[^\s\u2005]+\s)\s*")


def read(text: str, *, group: bool = False, key: bool = False) -> Command | None:
    """The command in a text, if it is one; `key` says that it came from a menu's button."""
    word = (without_mention(text) if group else text).strip().replace("／", "/").lower()
    return WORDS.get(word) or (KEYS.get(word) if key else None)


def without_mention(text: str) -> str:
    """A group's message without the mention before it; what the person meant is behind it."""
    found = MENTION.match(text)
    return text[found.end() :] if found is not None else text
