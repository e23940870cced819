"""Random models of a few thousand parameters, with a tokenizer and a chat template of their own."""

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    DeepseekV2Config,
    GenerationConfig,
    LlamaConfig,
    PretrainedConfig,
    Qwen2Config,
    Qwen3Config,
)
from transformers.models.auto.modeling_auto import AutoModelForCausalLM

TEMPLATE = """\
{%- for message in messages -%}
{{ '<|' + message.role + '|>' + message.content }}
{%- endfor -%}
{{ '<|assistant|>' }}
{%- if thinking is defined and thinking -%}{{ '<think>\\n' }}{%- endif -%}
"""
SPECIAL = ["<|end|>", "<|system|>", "<|user|>", "<|assistant|>", "<think>", "</think>"]
CONFIGS: dict[str, type[PretrainedConfig]] = {
    "qwen2": Qwen2Config,
    "qwen3": Qwen3Config,
    "llama": LlamaConfig,
    "deepseek_v2": DeepseekV2Config,
}
# What multi-head latent attention needs besides: one dense layer, one of experts.
LATENT = {
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 8,
    "v_head_dim": 8,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "n_shared_experts": 1,
    "moe_intermediate_size": 16,
    "first_k_dense_replace": 1,
    "n_group": 1,
    "topk_group": 1,
}


def make(
    folder: Path,
    *,
    architecture: str = "qwen2",
    seed: int = 1,
    ends: bool = False,
    positions: int = 2048,
    hidden: int = 32,
    template: str = TEMPLATE,
) -> Path:
    """Write a checkpoint; where it `ends` it may stop by itself, else it goes on to its limit."""
    torch.manual_seed(seed)
    tokenizer = _tokenizer()
    end = tokenizer.token_to_id("<|end|>")
    model = AutoModelForCausalLM.from_config(
        CONFIGS[architecture](
            vocab_size=tokenizer.get_vocab_size(),
            hidden_size=hidden,
            intermediate_size=2 * hidden,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=4 if architecture == "deepseek_v2" else 2,
            head_dim=hidden // 4,
            max_position_embeddings=positions,
            tie_word_embeddings=True,
            initializer_range=0.5,
            bos_token_id=None,
            eos_token_id=end if ends else None,
            **(LATENT if architecture == "deepseek_v2" else {}),
        )
    )
    model.generation_config = GenerationConfig(eos_token_id=end if ends else None, pad_token_id=end)
    model.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"eos_token": "<|end|>", "chat_template": template}
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
