"""Texts to tokens for the auxiliary models, in the web process: the folder's own tokenizer.json, no transformers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from tool_server.model.aux.checkpoint import Checkpoint

# Qwen3-Reranker's prompt, as its model card gives it.
SYSTEM = (
    "Judge whether the Document meets the requirements based on the Query and the Instruct provided."
    ' Note that the answer can only be "yes" or "no".'
)
BEFORE = f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n"
AFTER = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
INSTRUCTION = "Given a web search query, retrieve relevant passages that answer the query"


@dataclass(frozen=True)
class Pairs:
    """A query with each document: tokens, and where the model looks at that, which of the two a token belongs to."""

    tokens: list[list[int]]
    types: list[list[int]]


class TooLong(Exception):
    """The query alone takes more than half of what the model reads."""


class TextTokens:
    """Texts by themselves, with the special tokens that the folder's post-processor sets."""

    def __init__(self, path: Path) -> None:
        self._tokenizer = open_tokenizer(path)
        sample = self._tokenizer.encode("a")
        special = sample.special_tokens_mask
        first = special.index(0)
        last = len(special) - special[::-1].index(0)
        self._before, self._after = sample.ids[:first], sample.ids[last:]

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        return [list(encoding.ids) for encoding in self._tokenizer.encode_batch(list(texts))]

    def wrap(self, tokens: Sequence[int]) -> list[int]:
        """Tokens that the caller made: the special ones are set around them as around a text's."""
        return [*self._before, *tokens, *self._after]


class PairTokens:
    """Query and document as one input with two parts, for cross-encoders."""

    def __init__(self, path: Path, max_tokens: int) -> None:
        self._max_tokens = max_tokens
        self._alone = open_tokenizer(path)
        self._tokenizer = open_tokenizer(path)
        self._tokenizer.enable_truncation(max_tokens, strategy="only_second")
        self._typed = int(Checkpoint(path).config.get("type_vocab_size", 1)) > 1

    def encode(self, query: str, documents: Sequence[str]) -> Pairs:
        """Of a document that is too long the beginning is kept. Raises `TooLong` for the query."""
        if len(self._alone.encode(query).ids) > self._max_tokens // 2:
            raise TooLong
        encodings = self._tokenizer.encode_batch([(query, text) for text in documents])
        types = [list(encoding.type_ids) for encoding in encodings] if self._typed else []
        return Pairs([list(encoding.ids) for encoding in encodings], types)


class YesNoTokens:
    """Query and document in a prompt that asks for yes or no. Nothing in them can end their part of the prompt."""

    def __init__(self, path: Path, max_tokens: int) -> None:
        self._tokenizer = open_tokenizer(path)
        self._before = self._plain(BEFORE)
        self._after = self._plain(AFTER)
        self._room = max_tokens - len(self._before) - len(self._after)
        self._tokenizer.encode_special_tokens = True  # from here on `<|im_end|>` in a text is text

    def encode(self, query: str, documents: Sequence[str]) -> Pairs:
        """Of a document that is too long the beginning is kept. Raises `TooLong` for the query."""
        head = f"<Instruct>: {INSTRUCTION}\n<Query>: {query}\n<Document>: "
        if len(self._plain(head)) > self._room // 2:
            raise TooLong
        bodies = self._tokenizer.encode_batch(
            [head + text for text in documents], add_special_tokens=False
        )
        tokens = [[*self._before, *body.ids[: self._room], *self._after] for body in bodies]
        return Pairs(tokens, [])

    def _plain(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)


def pair_tokens(path: Path, max_tokens: int) -> PairTokens | YesNoTokens:
    """By the kind of reranker in the folder; `max_tokens` is cut to what the model reads."""
    checkpoint = Checkpoint(path)
    limit = min(max_tokens, checkpoint.context_tokens)
    return (YesNoTokens if checkpoint.causal else PairTokens)(path, limit)


def open_tokenizer(path: Path) -> Tokenizer:
    """The file as it is, without the truncation and padding that some files ask for."""
    tokenizer = Tokenizer.from_file(str(path / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
