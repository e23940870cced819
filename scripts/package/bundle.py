"""The bundle: both packages in one file, which Dify installs in one step."""

from collections.abc import Sequence
from pathlib import Path

import yaml

from scripts.package import archive
from scripts.package.archive import MANIFEST

ASSETS = "_assets/"
README = """# Shenqiao 深桥

Both Dify packages of Shenqiao in one file: the tools with the WeChat endpoint, and the model provider.

深桥的两个 Dify 插件合为一个文件：工具与微信端点、模型供应商。
"""
LABELS = {"en_US": "Shenqiao", "zh_Hans": "深桥"}
DESCRIPTION = {
    "en_US": "A private AI assistant inside WeChat: tools, WeChat endpoint and model provider.",
    "zh_Hans": "微信里的私有 AI 助手：工具、微信端点和模型供应商。",
}


def build(packages: Sequence[Path], path: Path) -> None:
    """Write the bundle of these package files; the first one lends author, version, icon and tags."""
    first = archive.read(packages[0])
    manifest = yaml.safe_load(first[MANIFEST])
    icon = manifest["icon"]
    bundled = {
        "name": manifest["name"],
        "labels": LABELS,
        "description": DESCRIPTION,
        "icon": icon,
        "version": manifest["version"],
        "author": manifest["author"],
        "type": "bundle",
        "dependencies": [{"type": "package", "value": {"path": p.name}} for p in packages],
        "tags": manifest["tags"],
    }
    files = {
        MANIFEST: yaml.safe_dump(bundled, sort_keys=False, allow_unicode=True).encode(),
        "README.md": README.encode(),
        ASSETS + icon: first[ASSETS + icon],
        **{ASSETS + package.name: package.read_bytes() for package in packages},
    }
    archive.write(path, files)
