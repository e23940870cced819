"""Arithmetic of a decode step, from public configs and data sheets: what a card can do at most, what fits into it.

A step reads all weights that it multiplies with, and each sequence's keys and values; it multiplies at 70 % of the
dense bfloat16 peak.
"""

from dataclasses import dataclass

COMPUTE_SHARE = 0.7
KIB, GIB = 2**10, 2**30


@dataclass(frozen=True)
class Card:
    """Memory in GiB as a driver shows it, bandwidth in TB/s, dense bfloat16 in TFLOP/s."""

    name: str
    memory_gib: float
    tb_per_s: float
    tflops: float


@dataclass(frozen=True)
class Model:
    """Parameters in billions (`embedding` of them stay in 16 bits when quantised), keys and values in KiB per token."""

    name: str
    billions: float
    embedding: float
    kv_kib: float

    def weight_gb(self, kind: str) -> float:
        """NF4 has 4 bits a weight and a float32 scale for each 64."""
        if kind == "bf16":
            return self.billions * 2
        return self.embedding * 2 + (self.billions - self.embedding) * (0.5 + 4 / 64)


CARDS = (
    Card("RTX 4090 (24 GB)", 24.0, 1.01, 165),
    Card("L40S (48 GB)", 45.0, 0.86, 362),
    Card("A100-40", 40.0, 1.56, 312),
    Card("A100-80", 80.0, 2.04, 312),
    Card("H100", 80.0, 3.35, 989),
    Card("H200", 140.0, 4.8, 989),
)
MODELS = (
    Model("DeepSeek-R1-Distill-Qwen-1.5B", 1.78, 0.467, 28),
    Model("DeepSeek-R1-Distill-Qwen-7B", 7.62, 1.09, 56),
    Model("DeepSeek-R1-Distill-Llama-8B", 8.03, 1.05, 128),
    Model("DeepSeek-R1-0528-Qwen3-8B", 8.19, 1.245, 144),
    Model("DeepSeek-R1-Distill-Qwen-14B", 14.77, 1.557, 192),
    Model("DeepSeek-R1-Distill-Qwen-32B", 32.76, 1.557, 256),
    Model("deepseek-llm-7b-chat", 6.91, 0.839, 480),
)
SEVEN = MODELS[1]


def card_of(name: str) -> Card | None:
    """The card that a driver's name means."""
    wanted = {"H200": "H200", "H100": "H100", "A100-SXM4-80GB": "A100-80", "A100 80GB": "A100-80"}
    wanted |= {"A100-SXM4-40GB": "A100-40", "RTX 4090": "RTX 4090 (24 GB)", "L40S": "L40S (48 GB)"}
    for part, ours in wanted.items():
        if part in name:
            return next(card for card in CARDS if card.name == ours)
    return None


def decode_roof(card: Card, model: Model, kind: str, streams: int, context: int) -> float:
    """Tokens per second that no engine can pass on this card."""
    # The embedding of the input is a look-up; that of the output is a multiplication like the others.
    weights = model.weight_gb(kind) - model.embedding / 2 * 2
    read = weights * 1e9 + streams * context * model.kv_kib * KIB
    reading_s = read / (card.tb_per_s * 1e12)
    flops = 2 * (model.billions - model.embedding / 2) * 1e9 * streams
    computing_s = flops / (card.tflops * 1e12 * COMPUTE_SHARE)
    return streams / max(reading_s, computing_s)


def users(card: Card, model: Model, kind: str, context: int, *, share: float = 0.9) -> int:
    """Answers at once of `context` tokens each, after the weights and 1.5 GiB of working memory."""
    room = card.memory_gib * GIB * share - model.weight_gb(kind) * 1e9 - 1.5 * GIB
    return max(0, int(room / (context * model.kv_kib * KIB)))
