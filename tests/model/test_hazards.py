"""Hazards of the libraries below us, brought about on purpose; each one's guard is beside it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    ContinuousBatchingConfig,
    GenerationConfig,
)

from tests.model.conftest import Server
from tests.waiting import wait_for
from tool_server.model.tokenizer import ChatTokenizer

DEMO_MODEL = Path(__file__).parents[2] / "playground" / "demo_model"
# A pool of two computing threads does not exist in a forked child, which waits for it for ever.
FORK = """
import os, torch
torch.set_num_threads(2)
a = torch.randn(600, 600)
(a @ a).sum()
print("computed", flush=True)
if os.fork() == 0:
    (a @ a).sum()
    os._exit(0)
os.wait()
"""


def test_a_temperature_of_0_ends_transformers_loop_and_not_ours(
    server: Server, checkpoint: Path
) -> None:
    model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
    manager = model.init_continuous_batching(
        generation_config=GenerationConfig(do_sample=True, temperature=0.6, eos_token_id=-1),
        continuous_batching_config=ContinuousBatchingConfig(
            page_size=32, num_blocks=16, max_batch_tokens=64, per_request_processors=True
        ),
    )
    manager.start()
    manager.add_request([1, 2, 3], max_new_tokens=4, temperature=0.0)
    wait_for(lambda: not manager.is_running())  # this ended the loop
    assert server.chat(temperature=0).status_code == 200


def test_transformers_changes_a_tokenizer_and_ours_does_not() -> None:
    text = "年假为128天，共3次。"
    own = Tokenizer.from_file(str(DEMO_MODEL / "tokenizer.json"))
    changed = AutoTokenizer.from_pretrained(DEMO_MODEL)
    assert changed.encode(text) != own.encode(text, add_special_tokens=False).ids
    assert ChatTokenizer(DEMO_MODEL).encode(text) == own.encode(text, add_special_tokens=False).ids


def test_a_forked_child_hangs_and_the_engine_is_none(server: Server) -> None:
    command = [sys.executable, "-c", FORK]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"computed\n"
        with pytest.raises(subprocess.TimeoutExpired):
            parent.wait(3)
        os.killpg(parent.pid, signal.SIGKILL)
    engine = Path(f"/proc/{server.engine_pid()}/cmdline").read_bytes().split(b"\0")
    assert engine[1:4] == [b"-m", b"tool_server", b"engine"]  # a program of its own, not a copy
