"""Rules about the zip and the names of its files."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import PurePosixPath

from scripts.package.archive import LIMIT, MANIFEST
from scripts.package.check.package import Declared, Package, model_files
from scripts.package.signing import VERIFICATION

TOP = {MANIFEST, "main.py", "requirements.txt", "README.md", "PRIVACY.md", VERIFICATION}
PICTURES = {".svg", ".png", ".jpg", ".jpeg"}
# Dify's API takes a file of 15 MB where nobody raised its PLUGIN_MAX_PACKAGE_SIZE.
UPLOAD = 15 * 1024 * 1024
# What the SDK itself has in its package; a name of ours there would hide it or be hidden.
SDK_NAMES = {
    "cli", "commands", "config", "core", "entities", "errors", "file", "integration", "interfaces", "invocations",
    "protocol", "tool", "plugin", "_gevent", "__init__",
}  # fmt: skip
SECRETS = {
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    "a key of the tool server": r"\bsq-[A-Za-z0-9_-]{20,}",
    "a key of an OpenAI-like service": r"\bsk-[A-Za-z0-9_-]{20,}",
    "a key of a Dify app": r"\bapp-[A-Za-z0-9]{20,}",
    "a key of a Dify knowledge base": r"\bdataset-[A-Za-z0-9]{20,}",
    "a token of GitHub": r"\bgh[pousr]_[A-Za-z0-9]{30,}",
    "a key of AWS": r"\bAKIA[0-9A-Z]{16}\b",
    "a key of Alibaba Cloud": r"\bLTAI[A-Za-z0-9]{12,}\b",
    "a key of Tencent Cloud": r"\bAKID[A-Za-z0-9]{13,}\b",
    "a password in an address": r"\b[a-z][a-z0-9+.-]*://[^\s/:@]+:[^\s/:@<>{}…]+@",
    "a secret in the code": r"""(?i)\b\w*(secret|password|token|api_?key|aes_?key)\s*=\s*["'][^"'\s{}…]{16,}["']""",
}


def safe_paths(package: Package, _: Declared) -> Iterator[str]:
    """The daemon unpacks names as they are; only relative names of plain files are safe."""
    seen = set()
    for entry in package.entries:
        parts = entry.filename.split("/")
        kind = entry.external_attr >> 28
        if entry.filename.startswith("/") or ".." in parts or re.search(r"[\\:\0]", entry.filename):
            yield f"{entry.filename} leads out of the package's folder."
        elif entry.is_dir() or kind not in (0, 8) or "." in parts or "" in parts:
            yield f"{entry.filename} is not a plain file."
        if entry.filename in seen:
            yield f"{entry.filename} is there twice."
        seen.add(entry.filename)


def size(package: Package, _: Declared) -> Iterator[str]:
    """The daemon counts what is unpacked, the API the file; stored contents are both."""
    yield from _over(package, LIMIT, UPLOAD)


def bundle_size(package: Package, _: Declared) -> Iterator[str]:
    """A bundle may have twelve times what a package may."""
    yield from _over(package, 12 * LIMIT, 12 * UPLOAD)


def no_surplus_files(package: Package, declared: Declared) -> Iterator[str]:
    """Only what Dify reads: no leftovers, no hidden files, no binaries, no YAML that nothing names."""
    named = _named_yaml(package, declared)
    for name in package.files:
        path = PurePosixPath(name)
        hidden = any(part.startswith(".") for part in path.parts) and name != VERIFICATION
        allowed = {
            "_assets": path.suffix in PICTURES,
            "readme": bool(re.fullmatch(r"readme/README_[a-z]{2}_[A-Za-z]{2,}\.md", name)),
            "wheels": path.suffix == ".whl" and len(path.parts) == 2,
        }.get(path.parts[0], path.suffix == ".py" or name in named)
        if hidden or not (allowed if len(path.parts) > 1 else name in TOP):
            yield f"{name} has no place in a package."


def no_secrets(package: Package, _: Declared) -> Iterator[str]:
    for name in package.files:
        if not name.endswith((".whl", ".png", ".jpg", ".jpeg")):
            yield from (f"{name} holds {what}." for what in _secrets(package.text(name)))


@cache
def _secrets(text: str) -> list[str]:
    return [what for what, pattern in SECRETS.items() if re.search(pattern, text)]


def text_is_utf8(package: Package, _: Declared) -> Iterator[str]:
    for name in package.named((".py", ".yaml", ".md", ".txt", ".svg")):
        try:
            package.files[name].decode("utf-8")
        except UnicodeDecodeError:
            yield f"{name} is not UTF-8."


def sdk_not_hidden(package: Package, _: Declared) -> Iterator[str]:
    """Our folder has the SDK's name: nothing in it may stand in the SDK's place."""
    for name in package.files:
        first, *rest = name.split("/", 1)
        if first == "dify_plugin.py":
            yield f"{name} hides the SDK."
        if first == "dify_plugin" and rest[0].split("/")[0].removesuffix(".py") in SDK_NAMES:
            yield f"{name} stands in the place of the SDK's own."


def _over(package: Package, limit: int, upload: int) -> Iterator[str]:
    whole = sum(len(content) for content in package.files.values())
    if whole > limit:
        yield f"unpacked it has {whole} bytes, the daemon takes {limit}."
    packed = sum(entry.compress_size for entry in package.entries)
    if packed > upload:
        yield f"it has {packed} bytes, Dify's API takes {upload} unless told otherwise."


def _named_yaml(package: Package, declared: Declared) -> set[str]:
    named = {*declared.tools, *declared.endpoints}
    if declared.manifest:
        named |= {path for paths in declared.manifest.plugins.kinds().values() for path in paths}
    for tools in declared.tool_providers.values():
        named |= set(tools.tools)
    for group in declared.groups.values():
        named |= set(group.endpoints)
    for provider in declared.model_providers.values():
        named |= set(model_files(package, provider))
        named |= {kind.position for _, kind in provider.models if kind and kind.position}
    return named
