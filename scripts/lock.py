"""Write the hashed locks of `requirements/`: everything but torch in one file, torch and its CUDA parts in the other.

Called by `make lock`. One resolution, cut in two afterwards, so that the two files always fit together. A third one
holds what the Dify packages need, in the same versions: the wheels for sites without internet.
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
PACKAGES = [
    *("pip", "compile", "--quiet", "--generate-hashes", "--no-emit-index-url", "--no-header"),
    *("--no-annotate", "--python-version", "3.12", "--constraints", "requirements/dev.txt"),
    *("requirements.txt", "dify_plugin/model_provider/requirements.txt"),
]
PLATFORMS = ("x86_64-manylinux_2_28", "aarch64-manylinux_2_28")
TORCH_PARTS = re.compile(r"^(torch|triton|nvidia-|cuda-)")


def main(uv: str) -> None:
    entries = compiled(uv, *COMMAND)
    torch = [entry for entry in entries if TORCH_PARTS.match(entry)]
    rest = [entry for entry in entries if not TORCH_PARTS.match(entry)]
    write("torch.txt", torch)
    write("dev.txt", rest)
    first, other = (compiled(uv, *PACKAGES, "--python-platform", name) for name in PLATFORMS)
    if first != other:
        sys.exit(
            "The packages' requirements differ between processor kinds: one lock is not enough."
        )
    write("packages.txt", first)


def compiled(uv: str, *command: str) -> list[str]:
    """One entry for each distribution, with its hashes."""
    resolved = subprocess.run([uv, *command], cwd=ROOT, check=True, capture_output=True, text=True)
    return re.split(r"\n(?=[a-z0-9])", resolved.stdout.strip())


def write(name: str, entries: list[str]) -> None:
    head = "# Made by `make lock`. Do not edit.\n"
    (ROOT / "requirements" / name).write_text(head + "\n".join(entries) + "\n")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "uv")
