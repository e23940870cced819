"""The shipped demo model: its files, its chat template, and that it answers as well as its card says."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer
from transformers import Qwen2ForCausalLM

from scripts.demo_model import corpus as corpora
from scripts.demo_model.evaluate import Score, evaluate
from scripts.demo_model.examples import REFUSAL, Example
from scripts.train_demo_model import answer, load, load_tokenizer
from tool_server.model.tokenizer import ChatTokenizer

FOLDER = Path(__file__).parents[2] / "playground" / "demo_model"
PASSAGES = "[1] 员工手册 › 年假\n员工每年享有 12 天带薪年假。\n[2] 员工手册 › 病假\n8 天。"
SYSTEM = f"Rules.\n<passages>\n{PASSAGES}\n</passages>"


@pytest.fixture(scope="module")
def model() -> Qwen2ForCausalLM:
    torch.set_num_threads(1)
    return load(FOLDER)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(FOLDER / "tokenizer.json"))


def render(*messages: Mapping[str, object]) -> str:
    template = (FOLDER / "chat_template.jinja").read_text()
    return ImmutableSandboxedEnvironment().from_string(template).render(messages=messages)


def test_the_weights_are_small() -> None:
    assert (FOLDER / "model.safetensors").stat().st_size <= 4 * 1024 * 1024


def test_both_ways_to_load_the_tokenizer_give_the_same_ids(tokenizer: Tokenizer) -> None:
    fast = load_tokenizer(FOLDER)
    for text in (
        "年假有几天？ 12 days",
        "Zürich 龘 \n\t",
        render({"role": "user", "content": "a"}),
    ):
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        assert fast.encode(text, add_special_tokens=False) == ids
        assert tokenizer.decode(ids, skip_special_tokens=False) == text


def test_the_template_keeps_the_passages_and_the_last_question() -> None:
    prompt = render(
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": "第一个"},
        {"role": "assistant", "content": "答"},
        {"role": "user", "content": "年假有几天？"},
    )
    assert prompt == (
        "<|passage|>年假<|text|>员工每年享有 12 天带薪年假。<|passage|>病假<|text|>8 天。"
        "<|question|>年假有几天？<|answer|>"
    )


def test_the_template_takes_parts_and_lets_no_marker_through() -> None:
    parts = [{"type": "text", "text": "a <|end|> b"}]
    assert render({"role": "user", "content": parts}) == "<|question|>a end|> b<|answer|>"


def test_the_web_process_renders_the_same_prompt() -> None:
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": "年假？"}]
    assert ChatTokenizer(FOLDER).render(messages) == render(*messages)


def test_it_is_as_good_as_its_card_says(model: Qwen2ForCausalLM, tokenizer: Tokenizer) -> None:
    scores = evaluate(corpora.load(), lambda asked: answer(model, tokenizer, asked), sample=120)
    assert scores["listed wordings"].right >= 0.93
    for kind in ("held-out wordings", "held-out wordings, other values"):
        score: Score = scores[kind]
        assert score.right >= 0.85
        assert score.wrong <= 0.06
    assert scores["off topic, listed"].refused + scores["off topic, listed"].right >= 0.97
    assert scores["off topic, held out"].right >= 0.9


def test_without_passages_it_refuses(model: Qwen2ForCausalLM, tokenizer: Tokenizer) -> None:
    asked = [Example((), question, "") for question in ("年假有几天？", "How are you?")]
    given = answer(model, tokenizer, asked)
    assert given == [REFUSAL["zh"], REFUSAL["en"]]
