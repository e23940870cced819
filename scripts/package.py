"""Builds both Dify packages into `dist/`, byte-identical for the same files: `make package`.

The format is that of Dify's own packager: a zip of what the folder's `.difyignore` leaves, named by its identity,
`author/name:version@checksum`.
"""

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pathspec
import yaml

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = (ROOT, ROOT / "dify_plugin" / "model_provider")
# Dify's daemon takes 50 MB uncompressed.
LIMIT = 50 * 1024 * 1024
EPOCH = (1980, 1, 1, 0, 0, 0)


class PackageError(Exception):
    """A package cannot be built; the sentence says why."""


def main() -> None:
    for root in PACKAGES:
        path, identity = build(root, ROOT / "dist")
        print(f"{path.relative_to(ROOT)}  {identity}")


def build(root: Path, target: Path) -> tuple[Path, str]:
    """Pack one folder; the file and its identity. Raises `PackageError`."""
    files = read(root)
    manifest = yaml.safe_load(files["manifest.yaml"])
    target.mkdir(exist_ok=True)
    path = target / f"{manifest['name']}-{manifest['version']}.difypkg"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    identity = f"{manifest['author']}/{manifest['name']}:{manifest['version']}"
    return path, f"{identity}@{checksum(files)}"


def read(root: Path) -> dict[str, bytes]:
    """The package's files by name, in order: what git knows and `.difyignore` does not exclude."""
    patterns = (root / ".difyignore").read_text().splitlines()
    if any(pattern.startswith("!") for pattern in patterns):
        raise PackageError(".difyignore: Dify's packager does not understand `!`.")
    ignored = pathspec.PathSpec.from_lines("gitignore", patterns)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "."], cwd=root, check=True, capture_output=True
    ).stdout.decode()
    names = sorted(name for name in listed.split("\0") if name and not ignored.match_file(name))
    files = {name: (root / name).read_bytes() for name in names}
    if sum(map(len, files.values())) > LIMIT:
        raise PackageError(f"The package is over {LIMIT} bytes.")
    return files


def checksum(files: dict[str, bytes]) -> str:
    """Dify's checksum: SHA-256 over the digests of names and contents, in the order of the names."""
    whole = hashlib.sha256()
    for name in sorted(files):
        whole.update(hashlib.sha256(name.encode()).digest())
        whole.update(hashlib.sha256(files[name]).digest())
    return whole.hexdigest()


if __name__ == "__main__":
    try:
        main()
    except PackageError as error:
        sys.exit(str(error))
