"""What of a folder belongs into its package: what git knows and the folder's `.difyignore` does not exclude."""

import subprocess
from pathlib import Path

import pathspec

from scripts.package.archive import PackageError

ROOT = Path(__file__).resolve().parents[2]
TOOLS, MODEL = ROOT, ROOT / "dify_plugin" / "model_provider"


def contents(root: Path) -> dict[str, bytes]:
    """The package's files by name, in order. Raises `PackageError`."""
    patterns = (root / ".difyignore").read_text().splitlines()
    if any(pattern.startswith("!") for pattern in patterns):
        raise PackageError(".difyignore: Dify's packager does not understand `!`.")
    ignored = pathspec.PathSpec.from_lines("gitignore", patterns)
    listed = _git(root, "ls-files", "-z", ".")
    names = sorted(name for name in listed.split("\0") if name and not ignored.match_file(name))
    return {name: (root / name).read_bytes() for name in names}


def commit_time() -> int:
    """Seconds of the newest commit: the time of a signature, so that signing twice gives the same bytes."""
    return int(_git(ROOT, "log", "-1", "--format=%ct"))


def uncommitted() -> bool:
    """Whether the files differ from those of the newest commit."""
    return bool(_git(ROOT, "status", "--porcelain", "--untracked-files=no"))


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=root, check=True, capture_output=True, text=True
        )
    except (OSError, subprocess.CalledProcessError):
        raise PackageError("Packages are built from a clone: git does not answer here.") from None
    return done.stdout
