"""Recordings for the tests, made here: a tone in each of the formats that voices come in."""

import io
import math
import wave
from array import array

import av
import pysilk  # type: ignore[import-untyped]

RATE = 16_000


def tone(seconds: float, pitch: float = 440.0) -> bytes:
    """Signed 16-bit mono samples at 16 kHz: a tone that swells."""
    total = int(RATE * seconds)
    samples = (
        int(9000 * (n % RATE) / RATE * math.sin(2 * math.pi * pitch * n / RATE))
        for n in range(total)
    )
    return array("h", samples).tobytes()


def wav(samples: bytes) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(RATE)
        writer.writeframes(samples)
    return file.getvalue()


def encoded(samples: bytes, codec: str, container: str) -> bytes:
    """By PyAV: mp3, m4a, ogg, webm."""
    file = io.BytesIO()
    with (
        av.open(io.BytesIO(wav(samples)), "r") as source,
        av.open(file, "w", format=container) as target,
    ):
        rate = 48_000 if codec == "libopus" else RATE
        stream = target.add_stream(codec, rate=rate, layout="mono")
        assert isinstance(stream, av.AudioStream)
        fifo = av.AudioFifo()
        resampler = av.AudioResampler(stream.format.name, "mono", rate)
        for frame in (*source.decode(audio=0), None):
            for part in resampler.resample(frame):
                part.pts = None
                fifo.write(part)
        while (block := fifo.read(stream.frame_size or 1024, partial=True)) is not None:
            target.mux(stream.encode(block))
        target.mux(stream.encode(None))
    return file.getvalue()


def silk(samples: bytes, *, tencent: bool = True) -> bytes:
    file = io.BytesIO()
    pysilk.encode(io.BytesIO(samples), file, RATE, 24_000, tencent=tencent)
    return file.getvalue()


def amr(frames: int) -> bytes:
    """AMR-NB as the platform sends it, of frames of 12.2 kbit/s and 20 ms with bits of no meaning."""
    payloads = (bytes((n * 37 + k * 11) % 256 for k in range(31)) for n in range(frames))
    return b"#!AMR\n" + b"".join(b"\x3c" + payload for payload in payloads)
