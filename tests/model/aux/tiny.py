"""Random models of a few thousand parameters: what an auxiliary model's folder holds, of each kind that is served."""

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertModel,
    GenerationConfig,
    PreTrainedModel,
    Qwen3Config,
    Qwen3ForCausalLM,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    XLMRobertaConfig,
    XLMRobertaForSequenceClassification,
    XLMRobertaModel,
)

TEXTS = ["the quick brown fox", "年假有几天", "yes no good bad word " * 8]
ENCODER_SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
CHAT_SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
SAFE, UNSAFE = "Safety: Safe\nCategories: None", "Safety: Unsafe\nCategories: Violent, PII"
GUARD_TEMPLATE = """\
{%- for message in messages -%}
{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
{%- endfor -%}
{{ '<|im_start|>assistant\\n' }}
"""
LANGUAGES = ["en", "zh", "de"]
WHISPER_SPECIAL = [
    "<|endoftext|>",
    "<|startoftranscript|>",
    *[f"<|{language}|>" for language in LANGUAGES],
    "<|translate|>",
    "<|transcribe|>",
    "<|startofprev|>",
    "<|nospeech|>",
    "<|notimestamps|>",
]


def bert(folder: Path, positions: int = 256) -> Path:
    """An encoder without sentence-transformers' files: mean pooling."""
    tokenizer = _encoder_tokenizer()
    shape = {**_shape(tokenizer), "max_position_embeddings": positions}
    config = BertConfig(type_vocab_size=2, **shape)
    return _save(folder, BertModel(config), tokenizer)


def xlm_roberta(folder: Path) -> Path:
    """As bge-m3: CLS pooling, by sentence-transformers' files."""
    tokenizer = _encoder_tokenizer()
    _save(folder, XLMRobertaModel(_roberta(tokenizer)), tokenizer)
    pooling = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    kinds = ("Transformer", "Pooling", "Normalize")
    modules = [{"type": f"sentence_transformers.models.{kind}"} for kind in kinds]
    (folder / "modules.json").write_text(json.dumps(modules))
    return folder


def cross_encoder(folder: Path) -> Path:
    """As bge-reranker."""
    tokenizer = _encoder_tokenizer()
    config = _roberta(tokenizer)
    config.num_labels = 1
    return _save(folder, XLMRobertaForSequenceClassification(config), tokenizer)


def qwen3(folder: Path, layers: int = 2) -> Path:
    """As Qwen3-Embedding and Qwen3-Reranker: a decoder; a text to embed ends with a token of its own."""
    tokenizer = _bpe(CHAT_SPECIAL)
    tokenizer.add_tokens(["yes", "no"])
    end = tokenizer.token_to_id("<|endoftext|>")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A <|endoftext|>", special_tokens=[("<|endoftext|>", end)]
    )
    return _save(folder, Qwen3ForCausalLM(_qwen3(tokenizer, layers)), tokenizer)


def guard(folder: Path) -> Path:
    """As Qwen3Guard-Gen, trained for a moment: unsafe is what has the word "bad"."""
    tokenizer = _bpe(CHAT_SPECIAL)
    tokenizer.add_tokens([SAFE, UNSAFE, " bad", " good"])
    torch.manual_seed(1)
    model = Qwen3ForCausalLM(_qwen3(tokenizer))
    _train(model, tokenizer)
    end = tokenizer.token_to_id("<|im_end|>")
    model.generation_config = GenerationConfig(eos_token_id=end, pad_token_id=end)
    _save(folder, model, tokenizer)
    config = {"eos_token": "<|im_end|>", "chat_template": GUARD_TEMPLATE}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


def whisper(folder: Path) -> Path:
    """Hears nothing that makes sense, but always the same in the same recording."""
    tokenizer = _bpe(WHISPER_SPECIAL)
    ids = {name: tokenizer.token_to_id(name) for name in WHISPER_SPECIAL}
    end, start = ids["<|endoftext|>"], ids["<|startoftranscript|>"]
    config = WhisperConfig(
        vocab_size=tokenizer.get_vocab_size(),
        num_mel_bins=80,
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_target_positions=32,
        init_std=0.5,
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
        decoder_start_token_id=start,
        suppress_tokens=[],
        begin_suppress_tokens=[],
    )
    torch.manual_seed(3)
    model = WhisperForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        max_length=24,
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
        decoder_start_token_id=start,
        is_multilingual=True,
        lang_to_id={f"<|{language}|>": ids[f"<|{language}|>"] for language in LANGUAGES},
        task_to_id={task: ids[f"<|{task}|>"] for task in ("transcribe", "translate")},
        no_timestamps_token_id=ids["<|notimestamps|>"],
        prev_sot_token_id=ids["<|startofprev|>"],
        max_initial_timestamp_index=50,
        return_timestamps=False,
    )
    _save(folder, model, tokenizer)
    WhisperFeatureExtractor(feature_size=80).save_pretrained(folder)
    return folder


def _train(model: Qwen3ForCausalLM, tokenizer: Tokenizer) -> None:
    """Until each of some conversations is followed by its verdict."""
    words = ["the", " quick", " brown", " fox", "年假", " good"]
    torch.manual_seed(2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # several for so little would wait for each other
    for step in range(300):
        text = [words[int(n)] for n in torch.randint(len(words), (1 + step * 7 % 60,))]
        bad = step % 2 == 1
        if bad:
            text[step % len(text)] = " bad"
        said = "".join(text)
        turns = [("user", said)] if step % 3 else [("user", "the fox"), ("assistant", said)]
        prompt = "".join(f"<|im_start|>{role}\n{words_}<|im_end|>\n" for role, words_ in turns)
        prompt += "<|im_start|>assistant\n"
        asked = tokenizer.encode(prompt, add_special_tokens=False).ids
        answer = tokenizer.encode((UNSAFE if bad else SAFE) + "<|im_end|>").ids
        tokens = torch.tensor([asked + answer])
        labels = torch.tensor([[-100] * len(asked) + answer])
        loss = model(input_ids=tokens, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    torch.set_num_threads(threads)
    model.eval()


def _encoder_tokenizer() -> Tokenizer:
    tokenizer = _bpe(ENCODER_SPECIAL)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s>:1 $B:1 </s>:1",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    tokenizer.enable_truncation(8)  # as some published files have it: it must not be obeyed
    tokenizer.enable_padding(length=8)
    return tokenizer


def _bpe(special: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    return tokenizer


def _shape(tokenizer: Tokenizer) -> dict[str, int | float]:
    return {
        "vocab_size": tokenizer.get_vocab_size(),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "initializer_range": 0.3,
        "max_position_embeddings": 256,
    }


def _roberta(tokenizer: Tokenizer) -> XLMRobertaConfig:
    special = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2}
    return XLMRobertaConfig(type_vocab_size=1, **{**_shape(tokenizer), **special})


def _qwen3(tokenizer: Tokenizer, layers: int = 2) -> Qwen3Config:
    deep = layers > 2  # a reranker's prompt is long
    shape = {**_shape(tokenizer), "num_hidden_layers": layers}
    shape["max_position_embeddings"] = 2048 if deep else 256
    return Qwen3Config(num_key_value_heads=2, head_dim=8, tie_word_embeddings=True, **shape)


def _save(folder: Path, model: PreTrainedModel, tokenizer: Tokenizer) -> Path:
    model.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder
