"""Which token comes next: exact nucleus, honest seeds, the bounds of reasoning, grammars."""

import json
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer

from tool_server.model.engine.grammar import BadSchema, Grammars
from tool_server.model.engine.picker import Picker, steer
from tool_server.model.wire import Submit, Thinking

PROBABILITIES = torch.tensor([0.4, 0.3, 0.15, 0.1, 0.05])
SCHEMA = {
    "type": "object",
    "properties": {
        "days": {"type": "integer", "minimum": 0, "maximum": 30},
        "kind": {"enum": ["年假", "病假"]},
        "notes": {"type": "array", "items": {"type": "string", "maxLength": 4}, "maxItems": 2},
    },
    "required": ["days", "kind", "notes"],
    "additionalProperties": False,
}


def submit(**changes: object) -> Submit:
    values: dict[str, object] = {
        "id": "x",
        "prompt": [1],
        "max_tokens": 9,
        "temperature": 1.0,
        "top_p": 1.0,
    }
    return Submit(**(values | changes))  # type: ignore[arg-type]


def draw(picker: Picker, times: int) -> torch.Tensor:
    """How often each token was chosen."""
    counts = torch.zeros(len(PROBABILITIES))
    for _ in range(times):
        logits = PROBABILITIES.log().unsqueeze(0).clone()
        steer(logits, [picker])
        counts[int(logits.argmax())] += 1
    return counts / times


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({}, [0.4, 0.3, 0.15, 0.1, 0.05]),
        ({"top_p": 0.6}, [4 / 7, 3 / 7, 0, 0, 0]),
        ({"top_p": 0.39}, [1, 0, 0, 0, 0]),
        ({"top_k": 3}, [0.4 / 0.85, 0.3 / 0.85, 0.15 / 0.85, 0, 0]),
        ({"top_k": 1, "temperature": 2.0}, [1, 0, 0, 0, 0]),
        ({"temperature": 0.5}, [0.16 / 0.285, 0.09 / 0.285, 0.0225 / 0.285, 0.01 / 0.285, 0.0025 / 0.285]),
        ({"temperature": 0.0}, [1, 0, 0, 0, 0]),
    ],
)  # fmt: skip
def test_tokens_come_as_often_as_they_should(
    rules: dict[str, object], expected: list[float]
) -> None:
    shares = draw(Picker(submit(seed=7, **rules)), 4000)
    assert torch.allclose(shares, torch.tensor(expected, dtype=torch.float32), atol=0.03)
    assert bool((shares[torch.tensor(expected) == 0] == 0).all())


def test_a_nucleus_wider_than_the_candidates_is_exact() -> None:
    logits = torch.zeros(1, 5000)
    picker = Picker(submit(seed=1))
    chosen = set()
    for _ in range(300):
        row = logits.clone()
        steer(row, [picker])
        chosen.add(int(row.argmax()))
    assert max(chosen) > 1024
    assert len(chosen) > 250


def test_a_seed_gives_the_same_tokens_whoever_else_is_in_the_batch() -> None:
    def run(others: int) -> list[int]:
        pickers = [
            Picker(submit(seed=5)),
            *(Picker(submit(seed=number)) for number in range(others)),
        ]
        tokens = []
        for step in range(40):
            torch.manual_seed(step)
            logits = torch.randn(1, 300).repeat(1 + others, 1)
            steer(logits, pickers)
            tokens.append(int(logits[0].argmax()))
        return tokens

    assert run(0) == run(3)


def test_rows_of_cancelled_requests_and_greedy_ones_stay_as_they_are() -> None:
    logits = torch.randn(2, 50)
    before = logits.clone()
    steer(logits, [None, Picker(submit(temperature=0.0))])
    assert torch.equal(logits, before)


def test_reasoning_is_closed_when_its_budget_is_spent() -> None:
    picker = Picker(
        submit(temperature=0.0, thinking=Thinking(start=3, end=4, inside=True, budget=5))
    )
    tokens = []
    for _ in range(8):
        logits = torch.zeros(1, 10)
        logits[0, 7] = 1.0
        steer(logits, [picker])
        tokens.append(int(logits.argmax()))
        picker.accept(tokens[-1:])
    assert tokens == [7, 7, 7, 7, 7, 4, 7, 7]


@pytest.fixture(scope="module")
def grammars(checkpoint: Path) -> Grammars:
    tokenizer = Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
    return Grammars(checkpoint, tokenizer.get_vocab_size(), frozenset())


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("temperature", [0.0, 1.5])
def test_an_answer_follows_its_schema_to_the_end(
    grammars: Grammars, checkpoint: Path, temperature: float, inside: bool
) -> None:
    tokenizer = Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
    marks = tokenizer.encode("<think></think>", add_special_tokens=False).ids
    close = marks[1]
    thinking = Thinking(marks[0], close, inside, budget=3)
    rules = submit(temperature=temperature, seed=3, thinking=thinking)
    picker = Picker(rules, grammars.matcher(json.dumps(SCHEMA)))
    generator = torch.Generator().manual_seed(1)
    tokens: list[int] = []
    while not picker.complete:
        logits = torch.randn(1, tokenizer.get_vocab_size(), generator=generator)
        steer(logits, [picker])
        tokens.append(int(logits.argmax()))
        picker.accept(tokens[-1:])
        assert len(tokens) < 500
    if inside:
        assert tokens[3] == close
        tokens = tokens[4:]
    answer = json.loads(tokenizer.decode(tokens))
    assert set(answer) == {"days", "kind", "notes"}
    assert 0 <= answer["days"] <= 30


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "maxLength": 100_000},
        {"type": "array", "minItems": 10**9},
        {"type": "string", "pattern": "a{1,99999}"},
        {"type": "no such type"},
        {"properties": {f"p{n}": {"description": "x" * 100} for n in range(500)}},
    ],
)
def test_a_schema_that_would_cost_too_much_is_refused(
    grammars: Grammars, schema: dict[str, object]
) -> None:
    with pytest.raises(BadSchema):
        grammars.matcher(json.dumps(schema))


def test_a_schema_that_is_too_deep_is_refused(grammars: Grammars) -> None:
    schema: dict[str, object] = {"type": "string"}
    for _ in range(40):
        schema = {"type": "array", "items": schema}
    with pytest.raises(BadSchema):
        grammars.matcher(json.dumps(schema))
