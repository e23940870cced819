"""A tokenizer made by rule, whose words are one token each: a prompt of random words has a known number of tokens.

A word is a blank and two or three syllables of a consonant and a vowel. The pre-tokenizer is Qwen2's, so that
transformers and llama.cpp, which put their own in its place, come to the same ids.
"""

import itertools
import json
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

SYLLABLES = tuple(a + b for a in "bcdfghjklmnpqrstvwxz" for b in "aeiou")
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
BLANK = "\u0120"  # how byte-level tokenizers write a blank
# Below are 256 bytes, and the syllables without and with a blank before them.
FIRST_WORD = 256 + 2 * len(SYLLABLES)
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TEMPLATE = """\
{%- for message in messages -%}
{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}
"""


def save(folder: Path, vocabulary: int) -> None:
    """Write tokenizer.json and tokenizer_config.json of exactly `vocabulary` tokens."""
    build(vocabulary).save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "Qwen2Tokenizer",
        "chat_template": TEMPLATE,
        "bos_token": None,
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1))


def build(vocabulary: int) -> Tokenizer:
    """Bytes, syllables, syllables after a blank, words; the special tokens are the last."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [(syllable[0], syllable[1]) for syllable in SYLLABLES]
    merges += [(BLANK, syllable) for syllable in SYLLABLES]
    room = vocabulary - len(letters) - len(merges) - len(SPECIAL)
    merges += itertools.islice(_words(), room)
    tokens = letters + [first + second for first, second in merges]
    tokenizer = Tokenizer(
        models.BPE({token: number for number, token in enumerate(tokens)}, merges)
    )
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    return tokenizer


def words(tokenizer: Tokenizer) -> dict[str, int]:
    """Every word that is one token, with its id."""
    return {
        token.removeprefix(BLANK): number
        for token, number in tokenizer.get_vocab().items()
        if token.startswith(BLANK) and len(token) > 4
    }


def _words() -> "itertools.chain[tuple[str, str]]":
    """Merges that end in a word: those of two syllables, then those of three, spread over the first two."""
    two = [(BLANK + first, second) for first in SYLLABLES for second in SYLLABLES]
    three = ((first + second, third) for third in SYLLABLES for first, second in two)
    return itertools.chain(two, three)
