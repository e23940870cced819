"""Write the hashed locks of `requirements/`: everything but torch in one file, torch and its CUDA parts in the other.

Called by `make lock`. One resolution, cut in two afterwards, so that the two files always fit together.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMMAND = [
    *("pip", "compile", "--quiet", "--universal", "--generate-hashes", "--no-emit-index-url"),
    *("--no-header", "--python-version", "3.12", "pyproject.toml"),
    *("--extra", "engine", "--extra", "postgresql", "--group", "dev"),
]
TORCH_PARTS = re.compile(r"^(torch|triton|nvidia-|cuda-)")


def main(uv: str) -> None:
    resolved = subprocess.run([uv, *COMMAND], cwd=ROOT, check=True, capture_output=True, text=True)
    entries = re.split(r"\n(?=[a-z0-9])", resolved.stdout.strip())
    torch = [entry for entry in entries if TORCH_PARTS.match(entry)]
    rest = [entry for entry in entries if not TORCH_PARTS.match(entry)]
    write("torch.txt", torch)
    write("dev.txt", rest)


def write(name: str, entries: list[str]) -> None:
    head = "# Made by `make lock`. Do not edit.\n"
    (ROOT / "requirements" / name).write_text(head + "\n".join(entries) + "\n")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "uv")
