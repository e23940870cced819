"""Rules about what a package asks to be installed."""

import hashlib
import re
from collections.abc import Iterator

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from scripts.package.check.package import Declared, Package
from scripts.package.offline import ARCHITECTURES

NAME = "requirements.txt"
LOWER, UPPER = {">=", ">", "==", "~="}, {"<", "<=", "==", "~="}
# The stable interface of an older Python 3 serves 3.12 too.
PYTHONS = {"py3", *(f"cp3{minor}" for minor in range(2, 13))}
OFFLINE = ("--no-index", "--find-links=./wheels/")


def bounded_requirements(package: Package, _: Declared) -> Iterator[str]:
    """By name, with a lowest and a highest version, and the SDK among them."""
    if NAME not in package.files:
        yield f"{NAME} is missing."
        return
    names = set()
    for line in _lines(package):
        if line in OFFLINE:
            continue
        try:
            wanted = Requirement(re.sub(r"\s--hash=\S+", "", line))
        except InvalidRequirement:
            yield f"{NAME}: {line[:80]} is not a name with versions."
            continue
        names.add(canonicalize_name(wanted.name))
        operators = {one.operator for one in wanted.specifier}
        if wanted.url:
            yield f"{NAME}: {wanted.name} comes from an address."
        elif not operators & LOWER or not operators & UPPER:
            yield f"{NAME}: {wanted.name} needs a lowest and a highest version."
    if "dify-plugin" not in names:
        yield f"{NAME}: dify_plugin is missing."


def one_way_to_install(package: Package, _: Declared) -> Iterator[str]:
    """Beside a `pyproject.toml` it depends on the daemon's version and mirror which file is used."""
    for name in ("pyproject.toml", "uv.lock", "setup.py", "setup.cfg"):
        if name in package.files:
            yield f"{name} stands beside {NAME}."


def wheels(package: Package, declared: Declared) -> Iterator[str]:
    """Offline: each pinned version with its hash, a wheel for each, all for the one processor kind of the manifest."""
    files = {name: name.removeprefix("wheels/") for name in package.named(".whl")}
    lines = _lines(package)
    pins = [line for line in lines if line not in OFFLINE]
    if not files and len(pins) == len(lines):
        return
    if not files or tuple(lines[:2]) != OFFLINE:
        yield f"{NAME}: wheels and {' '.join(OFFLINE)} belong together."
        return
    arch = declared.manifest.meta.arch if declared.manifest else []
    if len(arch) != 1:
        yield "manifest.yaml: meta.arch: wheels are for one processor kind."
    yield from _without_wheel(package, pins)
    for name in files.values():
        fault = _unfit(name, [ARCHITECTURES[one] for one in arch])
        if fault:
            yield f"wheels/{name}: {fault}"


def _without_wheel(package: Package, pins: list[str]) -> Iterator[str]:
    digests = {hashlib.sha256(package.files[name]).hexdigest() for name in package.named(".whl")}
    for pin in pins:
        hashes = set(re.findall(r"--hash=sha256:([0-9a-f]{64})", pin))
        if "==" not in pin or len(hashes & digests) != 1:
            yield f"{NAME}: {pin.partition(' ')[0]} has no wheel with one of its hashes."
    known = {digest for pin in pins for digest in re.findall(r"sha256:([0-9a-f]{64})", pin)}
    for name in package.named(".whl"):
        if hashlib.sha256(package.files[name]).hexdigest() not in known:
            yield f"{name}: is not one that {NAME} names."


def _unfit(name: str, machines: list[str]) -> str:
    try:
        tags = parse_wheel_filename(name)[3]
    except InvalidWheelFilename:
        return "is not a wheel's name."
    endings = ("any", *(f"linux_{m}" for m in machines), *(f"_{m}" for m in machines))
    fits = any(tag.interpreter in PYTHONS and tag.platform.endswith(endings) for tag in tags)
    return "" if fits else "is not for Python 3.12 on this processor kind."


def _lines(package: Package) -> list[str]:
    text = package.text(NAME).replace("\\\n", " ")
    lines = (re.sub(r"(^|\s)#.*", "", line).strip() for line in text.splitlines())
    return [line for line in lines if line]
