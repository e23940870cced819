"""Recordings in the aux process: decoded by a child process, cut into parts for Whisper; used by `service`."""

import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import structlog

from tool_server.model.aux.audio_child import REFUSED, SAMPLE_RATE

log = structlog.get_logger()

type Samples = np.ndarray[tuple[int], np.dtype[np.float32]]

PART_S = 30
# A part ends at the quietest moment of its last seconds, so that no word is cut.
SEARCH_S = 6
FRAME = SAMPLE_RATE // 10
# Decoding takes far less than listening; a file that needs more is meant to.
DECODE_S = 20
DAMAGED = "This recording cannot be decoded."


class BadAudio(Exception):
    """A sentence for the caller."""


def decode(content: bytes, max_s: int) -> Samples:
    """Samples in -1..1 at 16 kHz. Raises `BadAudio`; takes at most some seconds."""
    cpu_s = DECODE_S + max_s // 60
    command = [sys.executable, "-m", "tool_server.model.aux.audio_child", str(max_s), str(cpu_s)]
    try:
        done = subprocess.run(
            command, input=content, capture_output=True, check=False, timeout=2 * cpu_s
        )
    except subprocess.TimeoutExpired:
        raise BadAudio(DAMAGED) from None
    if done.returncode == REFUSED:
        raise BadAudio(done.stderr.decode(errors="replace").strip().splitlines()[-1])
    if done.returncode != 0:
        log.warning("aux.decoder_died", status=done.returncode, size=len(content))
        raise BadAudio(DAMAGED)
    return np.frombuffer(done.stdout, dtype="<i2").astype(np.float32) / 32768.0


def parts(samples: Samples) -> Iterator[tuple[float, Samples]]:
    """The parts of a recording with their beginnings in seconds, each at most 30 seconds long."""
    begin = 0
    while begin < len(samples):
        end = begin + PART_S * SAMPLE_RATE
        if end < len(samples):
            end = _quietest(samples, end - SEARCH_S * SAMPLE_RATE, end)
        yield begin / SAMPLE_RATE, samples[begin:end]
        begin = end


def _quietest(samples: Samples, begin: int, end: int) -> int:
    """The middle of the quietest tenth of a second between two places."""
    frames = samples[begin:end].reshape(-1, FRAME)
    return begin + int(np.square(frames).sum(axis=1).argmin()) * FRAME + FRAME // 2
