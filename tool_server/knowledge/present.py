"""Passages as they leave: text that is safe to quote to a model, and an address that a person can open. For all doors.

A document may hold what no reader sees but a model reads (zero-width, bidirectional and tag characters), or what a
model's chat template or a workflow's prompt takes for structure. Such characters go, such markers are broken.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from tool_server.knowledge.bases import Profile
from tool_server.knowledge.catalogue import Catalogue
from tool_server.knowledge.document import StoredDocument
from tool_server.knowledge.question import Passage
from tool_server.knowledge.rights import PUBLIC, sees
from tool_server.settings import Settings

LINE_BREAK = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
# Controls, halves of surrogate pairs, and what takes no room on the screen: Unicode's default-ignorable characters but
# the two selectors of emoji (U+FE0E, U+FE0F).
HIDDEN = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb"
    "\ud800-\udfff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# What chat templates mark turns, reasoning and calls with, what our prompt sets around passages, and what makes a page
# that shows an answer load something.
TAGS = (
    "passages?|context|documents?|instructions?|system|sys|user|human|assistant|think|thinking|tools?|tool_calls?|"
    "tool_response|functions?|function_calls?|invoke|(?:start|end)_of_turn|bos|eos|s(?= *>)|img|image|iframe|script|"
    "style|object|embed|svg|link|meta|form|base"
)
MARKER = re.compile(rf"<(?=[|｜]|<?\s?[/!]?\s?(?:{TAGS})\b)", re.IGNORECASE)
INSTRUCTION_MARKER = re.compile(r"\[(/?INST)\]", re.IGNORECASE)
IMAGE = re.compile(r"!(?=\[[^\]\n]{0,200}\]\()")
# Looks like the character that it stands for, and is no part of any marker.
BROKEN = "‹"


def present(
    settings: Settings, catalogue: Catalogue, passages: Sequence[Passage]
) -> tuple[Passage, ...]:
    """The passages of a result, cleaned; a document without an address gets its page's, where it has one."""
    pages = _pages(settings, catalogue, {p.document_id for p in passages if not p.url})
    return tuple(
        replace(
            passage,
            content=clean(passage.content),
            title=clean_line(passage.title),
            document_title=clean_line(passage.document_title),
            heading=clean_line(passage.heading),
            url=passage.url or pages.get(passage.document_id, ""),
        )
        for passage in passages
    )


def clean(text: str) -> str:
    """Without hidden characters, with every marker broken; the rest as it was."""
    visible = HIDDEN.sub("", LINE_BREAK.sub("\n", text))
    unmarked = INSTRUCTION_MARKER.sub(r"(\1)", MARKER.sub(BROKEN, visible))
    return IMAGE.sub("", unmarked)


def clean_line(text: str) -> str:
    """The same for what must be one line."""
    return " ".join(clean(text).split())


def page_of(settings: Settings, profiles: Mapping[str, Profile], document: StoredDocument) -> str:
    """The address of a document's page; empty where it has none: pages are off, or not everybody may see it."""
    profile = profiles.get(document.base)
    if not settings.knowledge_public_url or profile is None:
        return ""
    if not sees(frozenset({PUBLIC}), profile.access, document.access):
        return ""
    return f"{settings.knowledge_public_url.rstrip('/')}/knowledge/documents/{document.id}"


def _pages(settings: Settings, catalogue: Catalogue, ids: set[str]) -> dict[str, str]:
    if not settings.knowledge_public_url or not ids:
        return {}
    profiles = catalogue.profiles()
    found = catalogue.documents(ids)
    return {key: page_of(settings, profiles, document) for key, document in found.items()}
