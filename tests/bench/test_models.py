"""The random checkpoints: words are tokens, everybody reads the same ids, no answer ends by itself."""

from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer

from scripts.bench import load, models, tokenizer
from scripts.bench.models import Shape

TINY = Shape("tiny", 32, 64, 2, 4, 2, 8000, 512)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models.write(tmp_path_factory.mktemp("tiny"), TINY)


@pytest.fixture(scope="module")
def words(folder: Path) -> Tokenizer:
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


def test_the_tokenizer_has_as_many_tokens_as_the_model(words: Tokenizer) -> None:
    assert words.get_vocab_size() == TINY.vocabulary


def test_a_word_is_one_token(words: Tokenizer) -> None:
    known = tokenizer.words(words)
    assert min(known.values()) == tokenizer.FIRST_WORD
    text = "".join(f" {word}" for word in known)
    assert words.encode(text, add_special_tokens=False).ids == list(known.values())


def test_transformers_reads_the_same_ids(folder: Path, words: Tokenizer) -> None:
    (text,) = load.prompts(words, 1, seed=3, tokens=(100, 100))
    chat = [{"role": "user", "content": text}]
    theirs = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    rendered = theirs.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    ids = theirs.apply_chat_template(chat, add_generation_prompt=True)["input_ids"]
    assert ids == words.encode(rendered, add_special_tokens=False).ids
    assert len(ids) == 100


def test_no_greedy_answer_ends_by_itself_and_all_of_it_is_words(folder: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True).eval()
    for first in range(1000, 1010):
        ids = torch.tensor([[first, first + 1]])
        made = model.generate(ids, max_new_tokens=32, do_sample=False)
        assert made.shape[1] == 2 + 32
        assert int(made[0, 2:].min()) >= tokenizer.FIRST_WORD


def test_the_100m_shape_has_the_parameters_of_the_facts() -> None:
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(models.config(models.MIDDLE))
    assert model.num_parameters() == 107_670_912
