"""Training examples as the search would make them: passages, a question, and the sentence to copy or a refusal."""

import random
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from scripts.demo_model.corpus import Corpus, Topic

REFUSAL = {"zh": "手册里没有提到这一点。", "en": "The handbook does not cover this."}
PASSAGES = 3
PREFIXES = {
    "zh": ("", "", "", "", "请问", "你好，", "请问一下，", "想问问，", "帮我查一下，"),
    "en": ("", "", "", "", "Please tell me: ", "Hi, ", "Hello, ", "Quick question: "),
}
ENDINGS = {"zh": ("", "？", "?", "呢？", "。", "！"), "en": ("", "?", "?", ".", " please?", "!")}


@dataclass(frozen=True)
class Example:
    """What the chat template will be given, and what must come out."""

    passages: tuple[Topic, ...]
    question: str
    answer: str


class Examples:
    """An endless stream of examples from one seed."""

    def __init__(self, corpus: Corpus, seed: int, alphabets: Mapping[str, Sequence[str]]) -> None:
        self._corpus = corpus
        self._chance = random.Random(seed)
        self._alphabets = alphabets  # what made-up facts are written in, by language

    def draw(self, made_up: float) -> Example:
        """The next example; `made_up` is the chance that it is an invented one."""
        return self.made_up() if self._chance.random() < made_up else self.real()

    def shuffle(self, items: list[Any]) -> None:
        self._chance.shuffle(items)

    def real(self) -> Example:
        """A question to the handbook: three of four have their passage in view."""
        chance = self._chance
        language = chance.choice(("zh", "en"))
        draw = chance.random()
        if draw < 0.14:
            question = chance.choice(self._corpus.off_topic[language])
            return self._example(question, None, language)
        topic = chance.choice([t for t in self._corpus.topics if t.language == language])
        question = chance.choice(topic.wordings)
        if draw < 0.24:
            return self._example(question, None, language, absent=topic)
        return self._example(question, topic, language)

    def made_up(self) -> Example:
        """Invented titles and facts: they teach to find the asked title and to copy what follows it."""
        chance = self._chance
        language = chance.choice(("zh", "en"))
        pieces = self._alphabets[language]
        topics = [
            Topic(self._word(pieces, 2, 5), self._sentence(pieces), language)
            for _ in range(chance.choice((2, 3, 3)))
        ]
        if chance.random() < 0.12:
            return Example(tuple(topics), self._word(pieces, 3, 8), REFUSAL[language])
        asked = chance.choice(topics)
        around = self._word(pieces, 0, 3), self._word(pieces, 0, 3)
        return Example(tuple(topics), around[0] + asked.title + around[1], asked.text)

    def _example(
        self, question: str, right: Topic | None, language: str, absent: Topic | None = None
    ) -> Example:
        chance = self._chance
        ranked = rank(question, self._corpus.topics)
        others = [t for t in ranked if t not in (right, absent)]
        if absent is not None:  # the same section in the other language may not answer either
            others = [t for t in others if t.language == language]
        near = others[:6]
        pool = near if chance.random() < 0.7 else others
        count = PASSAGES - (right is not None)
        passages = chance.sample(pool, chance.choice((count, count, count, max(0, count - 1))))
        if right is not None:
            place = 0 if chance.random() < 0.5 else chance.randrange(len(passages) + 1)
            passages.insert(place, right)
        shown = [topic.with_new_values(chance) for topic in passages]
        answer = REFUSAL[language]
        if right is not None:
            answer = shown[passages.index(right)].text
        return Example(tuple(shown), self._vary(question, language), answer)

    def _vary(self, question: str, language: str) -> str:
        """The question as somebody else would type it."""
        chance = self._chance
        if chance.random() < 0.5:
            return question
        bare = question.rstrip("？?。.!！呢 ")
        if language == "en" and chance.random() < 0.4:
            bare = bare.lower()
        return chance.choice(PREFIXES[language]) + bare + chance.choice(ENDINGS[language])

    def _word(self, pieces: Sequence[str], least: int, most: int) -> str:
        return "".join(self._chance.choices(pieces, k=self._chance.randint(least, most)))

    def _sentence(self, pieces: Sequence[str]) -> str:
        chance = self._chance
        parts = []
        for _ in range(chance.randint(2, 5)):
            parts.append(self._word(pieces, 1, 5))
            if chance.random() < 0.5:
                parts.append("".join(chance.choices(string.digits, k=chance.randint(1, 4))))
        return "".join(parts).strip() + chance.choice(("。", "."))


def rank(question: str, topics: Sequence[Topic]) -> list[Topic]:
    """Topics by shared character pairs with the question: what the search would bring, roughly."""
    wanted = _pairs(question)
    return sorted(
        topics,
        key=lambda t: (-len(wanted & _pairs(t.title)) * 2 - len(wanted & _pairs(t.text)), t.title),
    )


@cache
def _pairs(text: str) -> frozenset[str]:
    text = text.casefold()
    pairs = {text[at : at + 2] for at in range(len(text) - 1)}
    return frozenset(pairs | {character for character in text if character > "\u2e80"})
