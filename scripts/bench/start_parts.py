"""The parts of the engine's start, each measured in turn in a new process; run by `start`.

python -m scripts.bench.start_parts FOLDER STARTED_AT
"""

import json
import sys
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from tool_server.settings import Settings


def main(started_at: float) -> None:
    """Print seconds and CPU seconds by part; `started_at` is the wall clock before this process was started."""
    parts: dict[str, tuple[float, float]] = {}
    clock, spent = time.monotonic() - (time.time() - started_at), 0.0

    def lap(name: str) -> None:
        nonlocal clock, spent
        now, used = time.monotonic(), time.process_time()
        parts[name] = (now - clock, used - spent)
        clock, spent = now, used

    lap("start the interpreter")

    import torch

    lap("import torch")
    import transformers

    lap("import transformers")
    from tool_server.model.engine.load import load
    from tool_server.settings import load as load_settings

    settings = load_settings()
    lap("import the tool server")
    # transformers imports the model's code, and what it needs, when it is first asked for it.
    from transformers import AutoConfig

    kind = AutoConfig.from_pretrained(settings.model_path)
    torch.nn.Linear(1, 1)
    transformers.AutoModelForCausalLM._model_mapping[type(kind)]
    lap("import the model's code")
    model = load(settings)
    # The file is mapped, not read: touch every page of it, as the first step (or the copy to a GPU) would.
    for weight in model.parameters():
        weight.detach().view(torch.uint8).flatten()[::4096].sum()
    lap("read the weights")
    _first_token(model, settings)
    lap("start the loop and make the first token")
    print(json.dumps(parts))


def _first_token(model: "PreTrainedModel", settings: "Settings") -> None:
    from tool_server.model.engine import attention
    from tool_server.model.engine.batches import Batches
    from tool_server.model.engine.picker import Picker
    from tool_server.model.wire import Step, Submit

    came = threading.Event()

    def deliver(_owner: object, step: Step) -> None:
        if step.tokens or step.finished:
            came.set()

    attention.use(model)
    batches = Batches(model, settings, deliver)
    request = Submit("first", [1, 2, 3], 4, 0.0, 1.0)
    batches.submit(request, Picker(request), object())
    came.wait(60)
    batches.stop()


if __name__ == "__main__":
    main(float(sys.argv[2]))
