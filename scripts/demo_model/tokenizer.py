"""The demo model's tokenizer: one token a Han character or digit, byte pairs for words, bytes for what is rare."""

import json
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from scripts.demo_model.corpus import Corpus
from scripts.demo_model.examples import REFUSAL

END, PAD = "<|end|>", "<|pad|>"
PASSAGE, TEXT, QUESTION, ANSWER = "<|passage|>", "<|text|>", "<|question|>", "<|answer|>"
SPECIAL = (PAD, END, PASSAGE, TEXT, QUESTION, ANSWER)
BYTES = tuple(f"<0x{value:02X}>" for value in range(256))
PIECES = Regex(r"\p{Han}|\p{N}| ?\p{Latin}+|\s|[^\s\p{L}\p{N}]")
MERGED = 420  # tokens of several letters

# Keeps the passages between the tags and the last question, in a form that a very small model can learn.
CHAT_TEMPLATE = """\
{%- set seen = namespace(passages='', question='') -%}
{%- for message in messages -%}
  {%- if message.content is string -%}
    {%- set text = message.content -%}
  {%- else -%}
    {%- set text = message.content | selectattr('text', 'defined') | map(attribute='text') | join('') -%}
  {%- endif -%}
  {%- if message.role == 'user' -%}
    {%- set seen.question = text -%}
  {%- elif message.role == 'system' and '<passages>' in text -%}
    {%- set seen.passages = text.split('<passages>')[-1].split('</passages>')[0] -%}
  {%- endif -%}
{%- endfor -%}
{%- for line in seen.passages.replace('<|', '').strip().split('\\n') -%}
  {%- if line.startswith('[') and '] ' in line -%}
    {{- '<|passage|>' + line.split('] ', 1)[1].split(' › ')[-1] + '<|text|>' -}}
  {%- else -%}
    {{- line -}}
  {%- endif -%}
{%- endfor -%}
{{- '<|question|>' + seen.question.replace('<|', '').strip() + '<|answer|>' -}}
"""


def build(corpus: Corpus) -> Tokenizer:
    """Train it on handbook and wordings."""
    lines = [line for t in corpus.topics for line in (t.title, t.text, *t.wordings)]
    lines += [q for questions in corpus.off_topic.values() for q in questions]
    lines += REFUSAL.values()
    characters = sorted({character for line in lines for character in line})
    alphabet = [*SPECIAL, *BYTES, *characters]
    trained = _train_merges(lines, characters)
    vocabulary = {token: number for number, token in enumerate(alphabet)}
    for first, second in trained:
        vocabulary.setdefault(first + second, len(vocabulary))
    tokenizer = Tokenizer(models.BPE(vocabulary, trained, byte_fallback=True, unk_token=None))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(PIECES, "isolated")
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens(list(SPECIAL))
    return tokenizer


def save(tokenizer: Tokenizer, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE, encoding="utf-8")


def _train_merges(lines: list[str], characters: list[str]) -> list[tuple[str, str]]:
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.Split(PIECES, "isolated")
    trainer = trainers.BpeTrainer(
        vocab_size=len(characters) + MERGED, initial_alphabet=characters, show_progress=False
    )
    learner.train_from_iterator(lines, trainer)
    return [(first, second) for first, second in json.loads(learner.to_str())["model"]["merges"]]
