"""The sample handbook and the ways to ask for its sections; read by training and evaluation."""

import random
import re
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HANDBOOK = ROOT / "playground" / "handbook"
WORDINGS = ROOT / "scripts" / "demo_model_wordings.txt"
NUMBER = re.compile(r"\d+")
HAN = re.compile(r"[\u4e00-\u9fff]")


@dataclass(frozen=True)
class Topic:
    """One section of the handbook, with the wordings for training and those that are held out."""

    title: str
    text: str
    language: str
    wordings: tuple[str, ...] = ()
    held_out: tuple[str, ...] = ()

    def with_new_values(self, chance: random.Random) -> "Topic":
        """The same section with other numbers, so that values are copied and never learnt."""
        return replace(self, text=NUMBER.sub(lambda match: _number(match[0], chance), self.text))


@dataclass(frozen=True)
class Corpus:
    """All topics, and questions that none of them answers, by language."""

    topics: tuple[Topic, ...]
    off_topic: dict[str, tuple[str, ...]]
    off_topic_held_out: dict[str, tuple[str, ...]]


def load() -> Corpus:
    """Read handbook and wordings; every section must have both."""
    sections = _wordings(WORDINGS.read_text(encoding="utf-8"))
    topics = []
    for path in sorted(HANDBOOK.glob("*.md")):
        for title, text in _sections(path.read_text(encoding="utf-8")):
            language = _language(text)
            wordings, held_out = sections[title, language]
            topics.append(Topic(title, text, language, wordings, held_out))
    off = {language: sections[f"off topic {language}", language] for language in ("zh", "en")}
    return Corpus(
        tuple(topics),
        {language: questions for language, (questions, _) in off.items()},
        {language: held_out for language, (_, held_out) in off.items()},
    )


def _sections(markdown: str) -> list[tuple[str, str]]:
    blocks = re.split(r"^## +", markdown, flags=re.MULTILINE)[1:]
    return [(title.strip(), text.strip()) for title, _, text in (b.partition("\n") for b in blocks)]


def _wordings(text: str) -> dict[tuple[str, str], tuple[tuple[str, ...], tuple[str, ...]]]:
    """By title and language: two sections are called "VPN"."""
    found = {}
    for block in re.split(r"^## +", text, flags=re.MULTILINE)[1:]:
        title, _, body = block.partition("\n")
        listed, _, held_out = body.strip().splitlines()[0].partition(" || ")
        found[title.strip(), _language(body)] = (
            tuple(listed.split(" | ")),
            tuple(held_out.split(" | ")),
        )
    return found


def _language(text: str) -> str:
    return "zh" if HAN.search(text) else "en"


def _number(old: str, chance: random.Random) -> str:
    """A number of about the same length; a leading zero only where the old one had it."""
    if old.startswith("0") or chance.random() < 0.2:
        return old
    length = max(1, len(old) + chance.choice((-1, 0, 0, 0, 1)))
    return str(chance.randrange(10 ** (length - 1), 10**length))
