"""Which token comes next in one request: temperature, nucleus, grammar, and the bounds of its reasoning.

The choice is ours and not the batch manager's: its processors divide by a temperature of 0, sort the whole vocabulary
for greedy requests too, and know neither seeds nor grammars.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from tool_server.model.engine.grammar import Matcher
from tool_server.model.wire import Submit, Thinking

# Candidates of a nucleus; what lies below them is looked at only where they carry too little.
CANDIDATES = 1024


class Picker:
    """The rules of one request. `accept` follows its tokens; `bound` narrows the logits of the next one."""

    def __init__(self, submit: Submit, matcher: Matcher | None = None) -> None:
        self.temperature = submit.temperature
        self.top_p = submit.top_p
        self.top_k = submit.top_k
        self.complete = False
        self._matcher = matcher
        self._chance = random.Random(submit.seed)
        self._reasoning = None if submit.thinking is None else Reasoning(submit.thinking)

    @property
    def greedy(self) -> bool:
        return self.temperature == 0

    def uniform(self) -> float:
        """The next random number in [0, 1): one for each token, so that a seed gives the same answer again."""
        return self._chance.random()

    def bound(self, logits: torch.Tensor) -> None:
        """Forbid in `logits` [vocabulary] what may not come next; changed in place."""
        if self._reasoning is not None and self._reasoning.inside:
            if self._reasoning.spent:
                only(logits, self._reasoning.end)
        elif self._matcher is not None:
            self._matcher.mask(logits)

    def accept(self, tokens: Sequence[int]) -> None:
        """Take note of tokens that were chosen."""
        for token in tokens:
            inside = self._reasoning is not None and self._reasoning.accept(token)
            if self._matcher is not None and not inside:
                self._matcher.accept(token)
                self.complete = self._matcher.complete


@dataclass
class Reasoning:
    """Whether a request is within its `<think>` block, and how much of its budget is left."""

    rule: Thinking
    used: int = 0

    def __post_init__(self) -> None:
        self.inside = self.rule.inside
        self.end = self.rule.end

    @property
    def spent(self) -> bool:
        return 0 < self.rule.budget <= self.used

    def accept(self, token: int) -> bool:
        """Whether this token belongs to the reasoning, its marks included."""
        if self.inside:
            self.used += 1
            self.inside = token != self.rule.end
            return True
        self.inside = token == self.rule.start
        return self.inside


def only(logits: torch.Tensor, token: int) -> None:
    """Leave one token."""
    logits.fill_(-torch.inf)
    logits[token] = 0.0


def steer(logits: torch.Tensor, pickers: Sequence[Picker | None]) -> None:
    """Make the next token of each row its greatest: `logits` [requests, vocabulary], float32, changed in place.

    Rows without a picker stay as they are, and so do greedy ones without bounds.
    """
    sampled: dict[int, Picker] = {}
    for index, picker in enumerate(pickers):
        if picker is None:
            continue
        picker.bound(logits[index])
        if not picker.greedy:
            sampled[index] = picker
    if sampled:
        rows = torch.tensor(list(sampled), device=logits.device)
        logits[rows, _sample(logits[rows], list(sampled.values()))] = torch.inf


def _sample(logits: torch.Tensor, pickers: Sequence[Picker]) -> torch.Tensor:
    """One token a row from its nucleus, by inverting the distribution at one random number."""

    def column(values: list[float]) -> torch.Tensor:
        return torch.tensor(values, device=logits.device, dtype=torch.float32).unsqueeze(1)

    scaled = logits / column([picker.temperature for picker in pickers])
    top_p = column([picker.top_p for picker in pickers])
    point = column([picker.uniform() for picker in pickers])
    limits = column([picker.top_k or logits.shape[1] for picker in pickers])
    total = scaled.logsumexp(dim=-1, keepdim=True)
    width = min(CANDIDATES, logits.shape[1])
    while True:
        values, tokens = scaled.topk(width, dim=-1)
        mass = (values - total).exp().cumsum(dim=-1)
        rank = torch.arange(width, device=logits.device)
        enough = (mass[:, -1:] >= top_p) | (limits <= width)
        if width == logits.shape[1] or bool(enough.all()):
            break
        width = logits.shape[1]
    # The last of the nucleus is the first with which it is reached; there is always one.
    kept = ((mass < top_p).sum(dim=-1, keepdim=True) + 1).clamp(max=width)
    last = torch.minimum(kept, limits.long()) - 1
    point = point * mass.gather(1, last)
    place = ((mass <= point) & (rank < last)).sum(dim=-1, keepdim=True)
    return tokens.gather(1, place).squeeze(1)
