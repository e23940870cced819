"""How good a checkpoint is: exact matches, refusals and wrong answers, by kind of question; used by script and test."""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from scripts.demo_model.corpus import Corpus, Topic
from scripts.demo_model.examples import PASSAGES, REFUSAL, Example, rank

type Generate = Callable[[Sequence[Example]], list[str]]


@dataclass(frozen=True)
class Score:
    """Shares of one kind of question: answered right, refused, answered wrong."""

    asked: int
    right: float
    refused: float
    wrong: float


def evaluate(
    corpus: Corpus, generate: Generate, *, sample: int | None = None
) -> Mapping[str, Score]:
    """One score per kind; `sample` bounds the questions of each kind."""
    chance = random.Random(7)
    kinds = {
        "listed wordings": _on_topic(corpus, lambda topic: topic.wordings),
        "held-out wordings": _on_topic(corpus, lambda topic: topic.held_out),
        "held-out wordings, other values": _on_topic(corpus, lambda t: t.held_out, chance=chance),
        "off topic, listed": _off_topic(corpus, corpus.off_topic),
        "off topic, held out": _off_topic(corpus, corpus.off_topic_held_out),
    }
    scores = {}
    for name, examples in kinds.items():
        asked = list(examples)
        if sample is not None and len(asked) > sample:
            asked = chance.sample(asked, sample)
        scores[name] = _score(asked, generate(asked))
    return scores


def table(scores: Mapping[str, Score]) -> str:
    """The scores as a Markdown table."""
    rows = [
        f"| {name} | {s.asked} | {s.right:.1%} | {s.refused:.1%} | {s.wrong:.1%} |"
        for name, s in scores.items()
    ]
    head = ["| questions | asked | right | refused | wrong |", "|---|---|---|---|---|"]
    return "\n".join([*head, *rows])


def _on_topic(
    corpus: Corpus,
    wordings: Callable[[Topic], Iterable[str]],
    chance: random.Random | None = None,
) -> Iterable[Example]:
    for topic in corpus.topics:
        for question in wordings(topic):
            yield _as_searched(corpus, question, topic, chance)


def _off_topic(corpus: Corpus, questions: Mapping[str, Iterable[str]]) -> Iterable[Example]:
    for language, asked in questions.items():
        for question in asked:
            passages = tuple(rank(question, corpus.topics)[:PASSAGES])
            yield Example(passages, question, REFUSAL[language])


def _as_searched(
    corpus: Corpus, question: str, right: Topic, chance: random.Random | None
) -> Example:
    """The right passage with the two that the search would bring beside it, in the search's order."""
    ranked = rank(question, corpus.topics)
    nearest = [topic for topic in ranked if topic != right][: PASSAGES - 1]
    shown = sorted((right, *nearest), key=ranked.index)
    if chance is not None:
        shown = [topic.with_new_values(chance) for topic in shown]
    answer = next(
        topic.text
        for topic in shown
        if topic.title == right.title and topic.language == right.language
    )
    return Example(tuple(shown), question, answer)


def _score(asked: Sequence[Example], given: Sequence[str]) -> Score:
    outcomes: Counter[str] = Counter()
    for example, answer in zip(asked, given, strict=True):
        outcomes[_outcome(example, answer)] += 1
    total = len(asked)
    return Score(total, *(outcomes[name] / total for name in ("right", "refused", "wrong")))


def _outcome(example: Example, answer: str) -> str:
    if answer == example.answer:
        return "right"
    return "refused" if answer in REFUSAL.values() else "wrong"
