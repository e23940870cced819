"""From an app's text to what a person reads: reasoning removed, sources added, cut into pieces; called by `finish`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tool_server.channel import markup
from tool_server.channel.account import Account, WeComApp
from tool_server.channel.dify import Answered, Source
from tool_server.channel.growing import growing
from tool_server.channel.links import Links
from tool_server.channel.markup import Style, look_alike
from tool_server.channel.split import split
from tool_server.channel.surface import Limits
from tool_server.words import Language, language_of, say

THINKING = re.compile(r"<think>.*?(</think>|\Z)", re.DOTALL)
# The number that the search tool sets before each passage, and by which a model may cite it.
NUMBERED = re.compile(r"\A\[(\d+)\][^\n]*\n")
CITED = re.compile(r"\[(\d{1,2})\]")
SOURCES_SHOWN = 3
CITED_SHOWN = 9
# A passage is a source of an answer when this share of the answer's character pairs stands in it.
SOURCE_SHARE = 0.4
# … and not much less than in the best one: sentences of one document look alike.
BESIDE_THE_BEST = 0.75
TITLE_CHARACTERS = 120


def style_of(account: Account, limits: Limits, language: Language, links: Links) -> Style:
    """How answers of this account look; a self-built app's are text unless the account says otherwise."""
    if isinstance(account, WeComApp):
        shown: markup.Markup = "plain" if account.markup == "text" else "subset"
        return Style(shown, language, links, anchors=shown == "plain")
    return Style(limits.markup, language, links)


@dataclass(frozen=True)
class Rendered:
    """An answer in the markup of its surface; the foot is shown however much of the body is cut."""

    body: str
    foot: str = ""

    @property
    def whole(self) -> str:
        return joined(self.body, self.foot)


def render(answered: Answered, account: Account, style: Style) -> Rendered:
    """The answer; its foot names the sources and, where the account wants it, says who wrote it."""
    body = markup.render(strip_reasoning(answered.text), style)
    if not body and not answered.files:
        return Rendered(say("empty", style.language))
    label = say("ai_label", style.language) if account.ai_label and body else ""
    sources = markup.render(sources_line(answered, style.language), style)
    return Rendered(body, joined(sources, label))


def joined(*parts: str) -> str:
    """Paragraphs, without the empty ones."""
    return "\n\n".join(part for part in parts if part)


def sentence(name: str, question: str, account: Account) -> str:
    """One of our own sentences in the language of the question."""
    return say(name, language_of(question, account.language))


def pieces(text: str, limits: Limits) -> list[str]:
    """The text cut where it must be; pieces of a longer answer carry their number."""
    whole = split(text, limits.piece_bytes)
    return whole if len(whole) <= 1 else numbered(split(text, room_of(limits)))


def numbered(parts: Sequence[str]) -> list[str]:
    """Each part with its number in front; a fence keeps the line that it must begin."""
    return [
        f"({number}/{len(parts)}){'\n' if part.startswith(('`', '~', '|', '>', '#', '- ')) else ' '}{part}"
        for number, part in enumerate(parts, start=1)
    ]


def room_of(limits: Limits) -> int:
    """Bytes of a piece that carries a number."""
    return limits.piece_bytes - limits.number_bytes


def strip_reasoning(text: str) -> str:
    """Without `<think>` blocks; a lone `</think>` ends a reasoning whose beginning the prompt held."""
    text = THINKING.sub("", text)
    return text.rpartition("</think>")[2].strip()


def partial(raw: str) -> str:
    """What a person may see of an answer that still grows: a beginning of what `render` makes of all of it.

    Reasoning is hidden, also where it has not ended; so is what the rest may still turn into something else.
    """
    return growing(strip_reasoning(raw))


def sources_line(answered: Answered, language: Language) -> str:
    """The sources in one line of markdown, with the numbers by which the answer cites them; empty where it has none."""
    text = strip_reasoning(answered.text)
    cited = cited_in(text, answered.sources)
    shown = {
        source.title: source for source in cited or used(text, answered.sources) if source.title
    }
    most = CITED_SHOWN if cited else SOURCES_SHOWN
    named = [_named(source, by_number=bool(cited)) for source in list(shown.values())[:most]]
    return say("sources", language) + say("list", language).join(named) if named else ""


def cited_in(text: str, sources: Sequence[Source]) -> list[Source]:
    """The sources that an answer cites by their numbers."""
    cited = {int(number) for number in CITED.findall(text)}
    return [source for source in sources if _number(source) in cited]


def used(text: str, sources: Sequence[Source]) -> list[Source]:
    """The sources that share the words of an answer that cites none, in their order.

    An answer that says that nothing was found shares nothing with the passages and names none.
    """
    if CITED.search(text) and any(_number(source) for source in sources):
        return []
    wanted = _pairs(text)
    shares = [_share(wanted, _pairs(NUMBERED.sub("", source.content))) for source in sources]
    best = max(shares, default=0.0)
    floor = max(SOURCE_SHARE, best * BESIDE_THE_BEST)
    return [source for source, share in zip(sources, shares, strict=True) if share >= floor]


def _named(source: Source, *, by_number: bool) -> str:
    title = look_alike(source.title)[:TITLE_CHARACTERS]
    linked = f"[{title}](<{source.url}>)" if source.url and "\n" not in source.url else title
    return f"[{_number(source)}] {linked}" if by_number else linked


def _number(source: Source) -> int | None:
    match = NUMBERED.match(source.content)
    return int(match[1]) if match else None


def _pairs(text: str) -> set[str]:
    letters = re.sub(r"[\W_]+", "", text.casefold())
    return {letters[at : at + 2] for at in range(len(letters) - 1)}


def _share(wanted: set[str], held: set[str]) -> float:
    return len(wanted & held) / len(wanted) if wanted else 0.0
