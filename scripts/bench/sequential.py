"""A process that answers one request after another with transformers' own `generate`; started by `servers`.

    python -m scripts.bench.sequential FOLDER

Reads one JSON object a line, {"prompts": [[ids]], "max_tokens": n}, and writes for each when its tokens came.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"

import torch
from transformers import AutoModelForCausalLM
from transformers.utils.logging import disable_progress_bar


class Times:
    """Stands where a streamer stands: `generate` hands over the prompt first, then each token."""

    def __init__(self) -> None:
        self.at: list[float] = []

    def put(self, _tokens: torch.Tensor) -> None:
        self.at.append(time.monotonic())

    def end(self) -> None:
        """Nothing is held back."""


def main(folder: Path) -> None:
    disable_progress_bar()
    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    model.eval()
    print("ready", flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        answers = [answer(model, prompt, asked["max_tokens"]) for prompt in asked["prompts"]]
        print(json.dumps({"cpu_s": time.process_time(), "answers": answers}), flush=True)


def answer(model: Any, prompt: list[int], max_tokens: int) -> dict[str, Any]:
    """When the first and the last token came (monotonic clock), and how many there were."""
    ids = torch.tensor([prompt])
    times = Times()
    with torch.inference_mode():
        made = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=max_tokens,
            do_sample=False,
            streamer=times,
        )
    return {"first_at": times.at[1], "last_at": times.at[-1], "tokens": made.shape[1] - len(prompt)}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
