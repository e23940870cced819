"""Rules about what people read and see: READMEs, privacy page, languages, pictures."""

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from typing import Any

import yaml

from scripts.package.check.package import Declared, Package, loaded

# What the marketplace wants an English README to say, and the words that say it.
PARTS = {
    "setup": r"(?i)\bset.{0,4}up\b|\binstall",
    "usage": r"(?i)\busage\b|\buse\b|\bask\b|\btools?\b|\bparameters\b",
    "credentials": r"(?i)\bcredentials?\b",
    "connection requirements": r"(?i)\bconnections?\b",
    "source": r"(?i)\bsource\b",
    "contact": r"(?i)\bcontact\b",
}
PARTS_ZH = {
    "setup": "安装|设置",
    "credentials": "凭据|密钥",
    "connection requirements": "网络|连接",
    "source": "源代码",
    "contact": "联系",
}
CHINESE = r"[\u4e00-\u9fff]"
ICON_KEYS = ("icon", "icon_dark", "icon_small", "icon_large", "icon_small_dark", "icon_large_dark")
PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"


def english_readme(package: Package, _: Declared) -> Iterator[str]:
    text = package.text("README.md")
    if not text.strip():
        yield "README.md is missing or empty."
        return
    if len(re.findall(CHINESE, text)) * 10 > len(text):
        yield "README.md has to be in English."
    for part, pattern in PARTS.items():
        if not re.search(pattern, text):
            yield f"README.md says nothing of {part}."


def chinese_readme(package: Package, _: Declared) -> Iterator[str]:
    name = "readme/README_zh_Hans.md"
    text = package.text(name)
    if len(re.findall(CHINESE, text)) * 10 < max(1, len(text)):
        yield f"{name} is missing or not in Chinese."
        return
    for part, pattern in PARTS_ZH.items():
        if not re.search(pattern, text):
            yield f"{name} says nothing of {part}."


def readme_pictures(package: Package, _: Declared) -> Iterator[str]:
    """Dify shows a README's picture from the package's `_assets`, or from an address."""
    for name in ("README.md", *package.named("README_zh_Hans.md")):
        for target in re.findall(r"!\[[^\]]*\]\(([^)\s]+)", package.text(name)):
            inside = target.removeprefix("./")
            if not target.startswith("https://") and not (
                inside.startswith("_assets/") and inside in package.files
            ):
                yield f"{name}: the picture {target} is not in the package's _assets."


def privacy_page(package: Package, declared: Declared) -> Iterator[str]:
    if declared.manifest is None or re.match(r"https?://", declared.manifest.privacy):
        return
    if not package.text(declared.manifest.privacy.removeprefix("./")).strip():
        yield f"manifest.yaml: privacy: {declared.manifest.privacy} is missing or empty."


def both_languages(package: Package, _: Declared) -> Iterator[str]:
    """Every label, help and placeholder that has `en_US` has `zh_Hans` too."""
    for name, where, value in _nodes(package):
        words = "en_US" in value and where.rpartition(".")[2] not in ICON_KEYS
        if words and not str(value.get("zh_Hans") or "").strip():
            yield f"{name}: {where}: has no zh_Hans."


def icons(package: Package, _: Declared) -> Iterator[str]:
    """Every icon that a YAML file names lies in `_assets`, and is a picture."""
    for name, where, value in _nodes(package):
        for key in ICON_KEYS:
            given = value.get(key)
            for icon in given.values() if isinstance(given, dict) else [given] if given else []:
                if f"_assets/{icon}" not in package.files:
                    yield f"{name}: {f'{where}.{key}'.lstrip('.')}: _assets/{icon} is not there."


def pictures(package: Package, _: Declared) -> Iterator[str]:
    """What lies in `_assets` is what its name says, and an SVG runs and loads nothing."""
    for name, content in package.files.items():
        if not name.startswith("_assets/"):
            continue
        if not _harmless(name.rpartition(".")[2], content):
            yield f"{name} is not a harmless picture."


def _harmless(kind: str, content: bytes) -> bool:
    if kind == "svg":
        return _harmless_svg(content)
    return content.startswith({"png": PNG, "jpg": JPEG, "jpeg": JPEG}.get(kind, PNG + JPEG))


def _harmless_svg(content: bytes) -> bool:
    if b"<!" in content.replace(b"<!--", b""):
        return False
    try:
        root = ElementTree.fromstring(content)  # noqa: S314 - without a document type nothing expands
    except ElementTree.ParseError:
        return False
    elements = list(root.iter())
    active = any(e.tag.rpartition("}")[2] in ("script", "foreignObject") for e in elements)
    names = [(key, value) for e in elements for key, value in e.attrib.items()]
    loads = any(
        key.rpartition("}")[2].startswith("on")
        or (key.rpartition("}")[2] == "href" and not value.startswith("#"))
        for key, value in names
    )
    return root.tag.endswith("svg") and not active and not loads


def _nodes(package: Package) -> Iterator[tuple[str, str, dict[Any, Any]]]:
    """Every mapping of every YAML file: the file, where in it, and the mapping."""
    for name in package.named(".yaml"):
        try:
            whole = loaded(package.text(name))
        except yaml.YAMLError:
            continue  # its fields' rule says so
        for where, value in _mappings(whole, ""):
            yield name, where, value


def _mappings(value: Any, where: str) -> Iterator[tuple[str, dict[Any, Any]]]:
    if isinstance(value, dict):
        yield where, value
        for key, part in value.items():
            yield from _mappings(part, f"{where}.{key}".lstrip("."))
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from _mappings(part, f"{where}.{number}".lstrip("."))
