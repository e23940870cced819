"""One recording to 16 kHz mono samples, in a process of its own with little memory and time; started by `audio`.

Recordings come from strangers and decoders are old C: what crashes, hangs or swells here costs one request. Reads the
file on stdin, writes signed 16-bit samples on stdout. Exit status 3 with a sentence on stderr: the file is at fault.
"""

import io
import resource
import sys
from collections.abc import Callable, Iterator

from tool_server.parent import follow_parent

SAMPLE_RATE = 16_000
SAMPLE_BYTES = 2
MEMORY_BYTES = 2 * 1024**3
REFUSED = 3

SILK_MARKS = (b"\x02#!SILK_V3", b"#!SILK_V3")
# How a file begins, and the demuxer for it. It is named, never guessed by the library: some demuxers open other
# files and addresses that a playlist tells them.
MARKS: tuple[tuple[bytes, str], ...] = (
    (b"#!AMR\n", "amr"),
    (b"#!AMR-WB\n", "amr"),
    (b"OggS", "ogg"),
    (b"\x1a\x45\xdf\xa3", "matroska"),
    (b"fLaC", "flac"),
    (b"ID3", "mp3"),
)

type Sink = Callable[[bytes], None]


class BadAudio(Exception):
    """A sentence for the caller."""


def main(max_s: int, cpu_s: int) -> int:
    """Limits, decoding, exit status."""
    follow_parent()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        samples = decode(sys.stdin.buffer.read(), max_s)
    except BadAudio as error:
        sys.stderr.write(str(error))
        return REFUSED
    sys.stdout.buffer.write(samples)
    return 0


def decode(content: bytes, max_s: int) -> bytes:
    """Signed 16-bit mono samples at 16 kHz. Raises `BadAudio`."""
    samples = _Samples(max_s)
    if content.startswith(SILK_MARKS):
        _decode_silk(content, samples)
    elif (demuxer := demuxer_of(content)) is not None:
        _decode_container(content, demuxer, samples)
    else:
        raise BadAudio(
            "This kind of file is not read; send wav, mp3, m4a, ogg, webm, flac, amr or silk."
        )
    if not samples.getvalue():
        raise BadAudio("There is no sound in this file.")
    return samples.getvalue()


def demuxer_of(content: bytes) -> str | None:
    """The demuxer for a file, by its first bytes."""
    if content[:4] == b"RIFF" and content[8:12] == b"WAVE":
        return "wav"
    if content[4:8] == b"ftyp":
        return "mp4"
    for mark, demuxer in MARKS:
        if content.startswith(mark):
            return demuxer
    if content[:1] == b"\xff" and len(content) > 1 and content[1] & 0xE0 == 0xE0:
        return "mp3" if content[1] & 0x06 else "aac"  # an MPEG frame, or ADTS with layer 0
    return None


class _Samples(io.BytesIO):
    """Takes samples up to a length; one more ends the decoding, whatever the file still promises."""

    def __init__(self, max_s: int) -> None:
        super().__init__()
        self._max_s = max_s
        self._left = max_s * SAMPLE_RATE * SAMPLE_BYTES

    def write(self, samples: bytes) -> int:  # type: ignore[override]  # bytes are all that comes
        self._left -= len(samples)
        if self._left < 0:
            raise BadAudio(f"The recording is longer than {self._max_s} seconds.")
        return super().write(samples)


def _decode_silk(content: bytes, samples: _Samples) -> None:
    """WeChat's voice format; the decoder itself gives 16 kHz."""
    import pysilk  # type: ignore[import-untyped]

    try:
        pysilk.decode(io.BytesIO(content), samples, SAMPLE_RATE)
    except pysilk.SilkError:
        raise BadAudio("This silk recording is damaged.") from None


def _decode_container(content: bytes, demuxer: str, samples: _Samples) -> None:
    import av

    try:
        with av.open(io.BytesIO(content), "r", demuxer, io_open=_refuse) as container:
            if not container.streams.audio:
                raise BadAudio("There is no sound in this file.")
            for part in _resampled(container):
                samples.write(part)
    except (av.FFmpegError, ValueError, MemoryError):
        if not samples.getvalue():
            raise BadAudio("This recording is damaged, or not what its first bytes say.") from None
        # a recording that breaks off is worth what was read of it


def _refuse(_url: str, _flags: int, _options: object) -> object:
    """A recording is one file."""
    raise BadAudio("A recording that names other files is not read.")


def _resampled(container: "av.container.InputContainer") -> Iterator[bytes]:  # type: ignore[name-defined]  # noqa: F821
    from av import AudioResampler

    resampler = AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
    for frame in container.decode(container.streams.audio[0]):
        for part in resampler.resample(frame):
            yield bytes(part.planes[0])[: part.samples * SAMPLE_BYTES]
    for part in resampler.resample(None):
        yield bytes(part.planes[0])[: part.samples * SAMPLE_BYTES]


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
