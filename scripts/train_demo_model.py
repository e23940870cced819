"""Trains the demo model: about a million parameters that copy the right sentence of the handbook, or refuse.

python -m scripts.train_demo_model FOLDER                    train and save
python -m scripts.train_demo_model FOLDER --evaluate         the figures of the model card
python -m scripts.train_demo_model FOLDER --resume --steps N train on from a checkpoint
"""

import json
import math
import time
from collections.abc import Sequence
from pathlib import Path

import click
import torch
from tokenizers import Tokenizer
from transformers import GenerationConfig, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from scripts.demo_model import corpus as corpora
from scripts.demo_model import tokenizer as tokenizers
from scripts.demo_model.corpus import HAN
from scripts.demo_model.evaluate import evaluate, table
from scripts.demo_model.examples import Example, Examples
from scripts.demo_model.prompt import render

SEED = 20
BATCH = 32
POOL = 16  # batches that are drawn together and sorted by length
PEAK_RATE = 1e-3  # at 3e-3 copying does not form
WARM_UP = 100
SPREAD = 0.06  # of the first weights; with the usual 0.02 copying forms three times later
FEW = 200  # kinds of tokens in the first repeats: with all of them at once copying does not form
FEW_STEPS = 1500  # steps with these few
REPEATS = 3000  # steps in which random runs of tokens are shown twice; more kinds come in little by little
MADE_UP_ONLY = 4500  # up to here only made-up facts follow
MADE_UP = 0.3  # their share afterwards
LONGEST_ANSWER = 96
SAVE_S = 120.0
REPORTED = 100  # steps of one line


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--steps", default=11000, show_default=True)
@click.option("--evaluate", "only_evaluate", is_flag=True)
@click.option("--resume", is_flag=True)
@click.option("--threads", default=1, show_default=True)
def main(folder: Path, steps: int, only_evaluate: bool, resume: bool, threads: int) -> None:
    """Train into FOLDER, or evaluate what lies there."""
    torch.set_num_threads(threads)
    torch.manual_seed(SEED)
    corpus = corpora.load()
    if not only_evaluate:
        tokenizer = tokenizers.build(corpus)
        model = load(folder) if resume else new_model(tokenizer)
        train(
            model,
            tokenizer,
            corpus,
            folder,
            range(MADE_UP_ONLY * resume, steps),
            seed=SEED + resume,
        )
    model, tokenizer = load(folder), Tokenizer.from_file(str(folder / "tokenizer.json"))
    click.echo(table(evaluate(corpus, lambda asked: answer(model, tokenizer, asked))))


def new_model(tokenizer: Tokenizer) -> Qwen2ForCausalLM:
    config = Qwen2Config(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=128,
        intermediate_size=512,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        initializer_range=SPREAD,
        bos_token_id=None,
        eos_token_id=tokenizer.token_to_id(tokenizers.END),
        pad_token_id=tokenizer.token_to_id(tokenizers.PAD),
    )
    model: Qwen2ForCausalLM = Qwen2ForCausalLM(config)
    click.echo(f"{model.num_parameters():,} parameters")
    return model


def train(
    model: Qwen2ForCausalLM,
    tokenizer: Tokenizer,
    corpus: corpora.Corpus,
    folder: Path,
    steps: range,
    *,
    seed: int,
) -> None:
    """AdamW on the loss of the answers alone; saves each two minutes and at the end."""
    examples = Examples(corpus, seed, _alphabets(tokenizer))
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=PEAK_RATE, betas=(0.9, 0.98), weight_decay=0.01
    )
    model.train()
    batches: list[tuple[torch.Tensor, torch.Tensor]] = []
    saved_at, recent = time.monotonic(), 0.0
    for step in steps:
        if step < REPEATS:
            batches = [_repeats(tokenizer.get_vocab_size(), step)]
        elif not batches:
            made_up = 1.0 if step < MADE_UP_ONLY else MADE_UP
            batches = _draw(examples, tokenizer, made_up)
        tokens, labels = batches.pop()
        for group in optimizer.param_groups:
            group["lr"] = _rate(step - steps.start, len(steps))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            states = model.model(input_ids=tokens).last_hidden_state
            told = labels[:, 1:] >= 0  # only what is learnt is worth its logits
            logits = model.lm_head(states[:, :-1][told])
        loss = torch.nn.functional.cross_entropy(logits.float(), labels[:, 1:][told])
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no types for it
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        recent += loss.item() / REPORTED
        if (step + 1) % REPORTED == 0:
            click.echo(f"step {step + 1:6} loss {recent:.4f} cpu {time.process_time():.0f} s")
            recent = 0.0
        if time.monotonic() - saved_at > SAVE_S:
            save(model, tokenizer, folder)
            saved_at = time.monotonic()
    save(model, tokenizer, folder)


def save(model: Qwen2ForCausalLM, tokenizer: Tokenizer, folder: Path) -> None:
    """A checkpoint that transformers and the engine can load: bf16 weights, tokenizer, chat template."""
    end = tokenizer.token_to_id(tokenizers.END)
    state = {name: tensor.to(torch.bfloat16) for name, tensor in model.state_dict().items()}
    del state["lm_head.weight"]  # tied to the embeddings
    model.generation_config = GenerationConfig(
        do_sample=False,
        max_new_tokens=LONGEST_ANSWER,
        eos_token_id=end,
        pad_token_id=tokenizer.token_to_id(tokenizers.PAD),
    )
    model.config.dtype = torch.bfloat16
    model.save_pretrained(folder, state_dict=state)
    tokenizers.save(tokenizer, folder)
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": tokenizers.END,
        "pad_token": tokenizers.PAD,
        "model_max_length": model.config.max_position_embeddings,
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")


def load(folder: Path) -> Qwen2ForCausalLM:
    model: Qwen2ForCausalLM = Qwen2ForCausalLM.from_pretrained(
        folder, dtype=torch.float32, local_files_only=True
    )
    return model


def load_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """The checkpoint's tokenizer as transformers sees it; must give the same ids as the file alone."""
    return PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"),
        eos_token=tokenizers.END,
        pad_token=tokenizers.PAD,
    )


def answer(model: Qwen2ForCausalLM, tokenizer: Tokenizer, asked: Sequence[Example]) -> list[str]:
    """Greedy answers, in batches of prompts of about one length (padded on the left)."""
    prompts = [tokenizer.encode(render(example), add_special_tokens=False).ids for example in asked]
    order = sorted(range(len(prompts)), key=lambda number: len(prompts[number]))
    answers = [""] * len(prompts)
    pad = _id(tokenizer, tokenizers.PAD)
    model.eval()
    for start in range(0, len(order), BATCH):
        chosen = order[start : start + BATCH]
        width = max(len(prompts[number]) for number in chosen)
        rows = [[pad] * (width - len(prompts[n])) + prompts[n] for n in chosen]
        mask = [[0] * (width - len(prompts[n])) + [1] * len(prompts[n]) for n in chosen]
        with torch.inference_mode():
            output = model.generate(
                input_ids=torch.tensor(rows),
                attention_mask=torch.tensor(mask),
                max_new_tokens=LONGEST_ANSWER,
                do_sample=False,
            )
        for number, row in zip(chosen, output[:, width:].tolist(), strict=True):
            answers[number] = tokenizer.decode(row, skip_special_tokens=True)
    return answers


def _draw(
    examples: Examples, tokenizer: Tokenizer, made_up: float
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """A pool of batches, each of examples of about one length, in random order."""
    drawn = [examples.draw(made_up) for _ in range(BATCH * POOL)]
    end = _id(tokenizer, tokenizers.END)
    rows = []
    for example in drawn:
        prompt = tokenizer.encode(render(example), add_special_tokens=False).ids
        target = [*tokenizer.encode(example.answer, add_special_tokens=False).ids, end]
        rows.append((prompt, target))
    rows.sort(key=lambda row: len(row[0]) + len(row[1]))
    pad = _id(tokenizer, tokenizers.PAD)
    batches = [_batch(rows[at : at + BATCH], pad) for at in range(0, len(rows), BATCH)]
    examples.shuffle(batches)
    return batches


def _id(tokenizer: Tokenizer, token: str) -> int:
    number = tokenizer.token_to_id(token)
    assert number is not None
    return number


def _batch(
    rows: Sequence[tuple[list[int], list[int]]], pad: int
) -> tuple[torch.Tensor, torch.Tensor]:
    width = max(len(prompt) + len(target) for prompt, target in rows)
    tokens = torch.full((len(rows), width), pad)
    labels = torch.full((len(rows), width), -100)
    for number, (prompt, target) in enumerate(rows):
        length = len(prompt) + len(target)
        tokens[number, :length] = torch.tensor(prompt + target)
        labels[number, len(prompt) : length] = torch.tensor(target)
    return tokens, labels


def _repeats(vocabulary: int, step: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Random tokens, twice; what comes again is what is learnt."""
    progress = max(0.0, step - FEW_STEPS) / (REPEATS - FEW_STEPS)
    kinds = int(FEW + (vocabulary - FEW) * min(1.0, progress * 1.25))
    width = int(torch.randint(8, 24, ()))
    run = vocabulary - 1 - torch.randint(0, kinds, (BATCH, width))
    tokens = torch.cat((run, run), dim=1)
    labels = tokens.clone()
    labels[:, : width + 1] = -100
    return tokens, labels


def _rate(step: int, steps: int) -> float:
    """Linear warm-up, then a cosine down to a twentieth."""
    if step < WARM_UP:
        return PEAK_RATE * (step + 1) / WARM_UP
    done = (step - WARM_UP) / max(1, steps - WARM_UP)
    return PEAK_RATE * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * done)))


def _alphabets(tokenizer: Tokenizer) -> dict[str, list[str]]:
    """What made-up facts are written in: the Han characters, and the words, that the tokenizer knows."""
    tokens = sorted(tokenizer.get_vocab())
    return {
        "zh": [token for token in tokens if len(token) == 1 and HAN.match(token)],
        "en": [
            token for token in tokens if len(token) > 2 and token[0] == " " and token[1:].isalpha()
        ],
    }


if __name__ == "__main__":
    main()
