"""A random Qwen2 of a few thousand parameters, with a tokenizer and a chat template of its own."""

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GenerationConfig, Qwen2Config, Qwen2ForCausalLM

TEMPLATE = """\
{%- for message in messages -%}
{{ '<|' + message.role + '|>' + message.content }}
{%- endfor -%}
{{ '<|assistant|>' }}
{%- if thinking is defined and thinking -%}{{ '<think>\\n' }}{%- endif -%}
"""
SPECIAL = ["<|end|>", "<|system|>", "<|user|>", "<|assistant|>", "<think>", "</think>"]


def make(folder: Path, *, seed: int = 1, ends: bool = False, positions: int = 512) -> Path:
    """Write a checkpoint; where it `ends` it may stop by itself, else it goes on to its limit."""
    torch.manual_seed(seed)
    tokenizer = _tokenizer()
    end = tokenizer.token_to_id("<|end|>")
    model = Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=tokenizer.get_vocab_size(),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=positions,
            tie_word_embeddings=True,
            initializer_range=0.5,
            bos_token_id=None,
            eos_token_id=end if ends else None,
        )
    )
    model.generation_config = GenerationConfig(eos_token_id=end if ends else None, pad_token_id=end)
    model.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"eos_token": "<|end|>", "chat_template": TEMPLATE}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


def _tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["the quick brown fox", "年假有几天", "word " * 8], trainer)
    return tokenizer
