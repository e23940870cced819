"""Packages for sites without internet: the wheels of one processor kind, and a `requirements.txt` that takes no others.

Versions and hashes come from `requirements/packages.txt`, which `make lock` writes: what the index sends must have one
of these hashes, and Dify's installer checks them again at the site.
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from scripts.package.archive import MANIFEST, PackageError
from scripts.package.folder import ROOT

LOCK = ROOT / "requirements" / "packages.txt"
REQUIREMENTS = "requirements.txt"
WHEELS = "wheels/"
# Dify's name of a processor kind, and that of wheels.
ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64"}
_ARCH = re.compile(rb"(?m)^  arch:\n(    - \w+\n)+")
# Dify's daemon always makes a Python 3.12 environment; its image has glibc 2.39.
_PYTHON = "3.12"
_GLIBC = ("2_28", "2_27", "2_26", "2_24", "2_17")
# uv downloads no wheels for another machine; the environment that holds uv has pip.
_PIP = (str(ROOT / ".uv" / "bin" / "python"), "-m", "pip")
_ABIS = ("cp312", "abi3", "none")
_HEAD = "--no-index\n--find-links=./wheels/\n"


def wheels(arch: str) -> dict[str, bytes]:
    """The locked wheels by file name, from PyPI or pip's configured index. Raises `PackageError`."""
    with tempfile.TemporaryDirectory() as folder:
        command = [*_PIP, "download", "--quiet", "--disable-pip-version-check"]
        command += ["--no-deps", "--require-hashes", "--only-binary", ":all:"]
        command += ["--python-version", _PYTHON, "--implementation", "cp"]
        command += [f"--abi={abi}" for abi in _ABIS]
        command += [f"--platform=manylinux_{g}_{ARCHITECTURES[arch]}" for g in _GLIBC]
        command += ["--dest", folder, "--requirement", str(LOCK)]
        if subprocess.run(command, stdout=sys.stderr).returncode:
            raise PackageError("The wheels could not be downloaded; pip says why above.")
        return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}


def offline(files: Mapping[str, bytes], arch: str, found: Mapping[str, bytes]) -> dict[str, bytes]:
    """The package's contents with these wheels, for this processor kind only."""
    with_wheels = {
        **files,
        MANIFEST: _for_one(files[MANIFEST], arch),
        REQUIREMENTS: _HEAD.encode() + LOCK.read_bytes(),
        **{WHEELS + name: content for name, content in found.items()},
    }
    return dict(sorted(with_wheels.items()))


def _for_one(manifest: bytes, arch: str) -> bytes:
    """The rest stays as it is: YAML written anew has a time in `created_at` that the daemon does not read."""
    changed, count = _ARCH.subn(f"  arch:\n    - {arch}\n".encode(), manifest)
    if count != 1:
        raise PackageError("manifest.yaml: meta.arch: not a list of one kind on each line.")
    return changed
