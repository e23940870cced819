"""From an app's text to what a person reads: reasoning removed, sources added, cut into pieces; called by `worker`."""

import re
from collections.abc import Sequence

from tool_server.channel.account import Account
from tool_server.channel.dify import Answered, Source
from tool_server.channel.split import split
from tool_server.channel.surface import Limits
from tool_server.words import Language, language_of, say

THINKING = re.compile(r"<think>.*?(</think>|\Z)", re.DOTALL)
# The number that the search tool sets before each passage, and by which a model may cite it.
NUMBERED = re.compile(r"\A\[(\d+)\][^\n]*\n")
CITED = re.compile(r"\[(\d{1,2})\]")
SOURCES_SHOWN = 3
# A passage is a source of an answer when this share of the answer's character pairs stands in it.
SOURCE_SHARE = 0.4
# … and not much less than in the best one: sentences of one document look alike.
BESIDE_THE_BEST = 0.75


def render(answered: Answered, question: str, account: Account, limits: Limits) -> list[str]:
    """The pieces of an answer, in order, none over the surface's limit; at least one."""
    language = language_of(question, account.language)
    text = strip_reasoning(answered.text)
    if not text:
        return [say("empty", language)]
    return pieces(_complete(text, answered.sources, account, language), limits)


def sentence(name: str, question: str, account: Account) -> str:
    """One of our own sentences in the language of the question."""
    return say(name, language_of(question, account.language))


def pieces(text: str, limits: Limits) -> list[str]:
    """The text cut where it must be; pieces of a longer answer carry their number."""
    whole = split(text, limits.piece_bytes)
    if len(whole) == 1:
        return whole
    parts = split(text, limits.piece_bytes - limits.number_bytes)
    return [f"({number}/{len(parts)}) {part}" for number, part in enumerate(parts, start=1)]


def strip_reasoning(text: str) -> str:
    """Without `<think>` blocks; a lone `</think>` ends a reasoning whose beginning the prompt held."""
    text = THINKING.sub("", text)
    return text.rpartition("</think>")[2].strip()


def used(text: str, sources: Sequence[Source]) -> list[Source]:
    """The sources that the answer rests on: those it cites, else those that share its words, in their order.

    An answer that says that nothing was found shares nothing with the passages and names none.
    """
    cited = {int(number) for number in CITED.findall(text)}
    if cited:
        return [source for source in sources if _number(source) in cited]
    wanted = _pairs(text)
    shares = [_share(wanted, _pairs(NUMBERED.sub("", source.content))) for source in sources]
    best = max(shares, default=0.0)
    floor = max(SOURCE_SHARE, best * BESIDE_THE_BEST)
    return [source for source, share in zip(sources, shares, strict=True) if share >= floor]


def _complete(text: str, sources: Sequence[Source], account: Account, language: Language) -> str:
    titles = list(dict.fromkeys(s.title for s in used(text, sources) if s.title))[:SOURCES_SHOWN]
    lines = [text]
    if titles:
        lines.append(say("sources", language) + say("list", language).join(titles))
    if account.ai_label:
        lines.append(say("ai_label", language))
    return "\n\n".join(lines)


def _number(source: Source) -> int | None:
    match = NUMBERED.match(source.content)
    return int(match[1]) if match else None


def _pairs(text: str) -> set[str]:
    letters = re.sub(r"[\W_]+", "", text.casefold())
    return {letters[at : at + 2] for at in range(len(letters) - 1)}


def _share(wanted: set[str], held: set[str]) -> float:
    return len(wanted & held) / len(wanted) if wanted else 0.0
