"""Both packages against the rules of Dify's daemon, read through the SDK's own entities."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from dify_plugin.core.entities.plugin.setup import PluginConfiguration
from dify_plugin.entities.endpoint import EndpointProviderConfiguration
from dify_plugin.entities.model import AIModelEntity
from dify_plugin.entities.model.provider import ModelProviderConfiguration
from dify_plugin.entities.tool import ToolProviderConfiguration

ROOT = Path(__file__).parents[2]
A, B = ROOT, ROOT / "dify_plugin" / "model_provider"
# The SDK's own names inside `dify_plugin`; a file or folder of ours must not have one.
RESERVED = {
    *(
        "cli",
        "commands",
        "config",
        "core",
        "entities",
        "errors",
        "file",
        "integration",
        "interfaces",
    ),
    *("invocations", "protocol", "tool", "plugin", "_gevent"),
}
SOURCES = [
    *(ROOT / "dify_plugin").glob("provider/*.py"),
    *(ROOT / "dify_plugin").glob("tools/*.py"),
    *(ROOT / "dify_plugin").glob("endpoints/*.py"),
    B / "provider" / "private_deepseek.py",
    B / "models" / "llm" / "llm.py",
]


def read(path: Path) -> dict[str, Any]:
    body = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(body, dict)
    return body


@pytest.mark.parametrize("root", [A, B], ids=["A", "B"])
def test_the_manifest_is_one_that_the_daemon_installs(root: Path) -> None:
    manifest = read(root / "manifest.yaml")
    PluginConfiguration.model_validate(manifest)
    assert re.fullmatch(r"[a-z0-9_-]{1,64}", manifest["author"])
    assert re.fullmatch(r"[a-z0-9_-]{1,128}", manifest["name"])
    assert not re.search("dify|langgenius", manifest["author"])
    assert manifest["resource"]["memory"] > 0
    assert manifest["meta"]["version"] == "0.0.1"
    assert manifest["created_at"]
    for icon in ("icon", "icon_dark"):
        assert (root / "_assets" / manifest[icon]).is_file()
    assert (root / manifest["privacy"]).read_text().strip()
    assert (root / "README.md").read_text().strip()
    for paths in manifest["plugins"].values():
        assert all((root / path).is_file() and len(path) <= 128 for path in paths)


@pytest.mark.parametrize("root", [A, B], ids=["A", "B"])
def test_no_package_holds_a_model_and_something_else(root: Path) -> None:
    plugins = set(read(root / "manifest.yaml")["plugins"])
    assert plugins == {"models"} or "models" not in plugins


def test_both_packages_have_one_version() -> None:
    assert read(A / "manifest.yaml")["version"] == read(B / "manifest.yaml")["version"]


@pytest.mark.parametrize("root", [A, B], ids=["A", "B"])
def test_the_requirements_are_bounded_and_without_the_server(root: Path) -> None:
    lines = (root / "requirements.txt").read_text().split()
    assert all(re.fullmatch(r"[a-z_]+>=[\d.]+,<[\d.]+", line) for line in lines)
    assert not any("torch" in line for line in lines)


def test_the_tools_and_the_endpoint_are_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)  # the SDK reads the files that a file names from where it stands
    provider = ToolProviderConfiguration.model_validate(
        read(A / "dify_plugin/provider/knowledge.yaml")
    )
    assert [tool.identity.name for tool in provider.tools] == ["search"]
    group = EndpointProviderConfiguration.model_validate(read(A / "dify_plugin/group/wechat.yaml"))
    assert sorted(endpoint.method for endpoint in group.endpoints) == ["GET", "POST"]


def test_the_endpoint_asks_for_no_secret() -> None:
    settings = read(A / "dify_plugin/group/wechat.yaml")["settings"]
    assert {setting["type"] for setting in settings} == {"text-input"}


def test_the_model_provider_and_its_model_are_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(B)
    ModelProviderConfiguration.model_validate(read(B / "provider/private_deepseek.yaml"))
    model = read(B / "models/llm/private-deepseek.yaml")
    AIModelEntity.model_validate({**model, "fetch_from": "predefined-model"})
    assert model["model"] == "private-deepseek"


def test_our_folder_does_not_hide_the_sdk() -> None:
    folder = ROOT / "dify_plugin"
    assert not (folder / "__init__.py").exists()
    assert {path.stem for path in folder.iterdir()} & RESERVED == set()


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_a_file_that_dify_loads_is_short(source: Path) -> None:
    assert len(source.read_text().splitlines()) <= 40


def test_every_label_is_in_both_languages() -> None:
    for path in [*A.glob("dify_plugin/**/*.yaml"), A / "manifest.yaml"]:
        for label in _labels(read(path)):
            assert label.get("zh_Hans"), f"{path.name}: {label}"


def _labels(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, dict):
        found = [value] if "en_US" in value and set(value) - {"en_US"} | {"x"} else []
        icons = {"icon_small", "icon_large", "icon_small_dark", "icon_large_dark"}
        return found + [
            label for name, part in value.items() if name not in icons for label in _labels(part)
        ]
    return [label for part in value for label in _labels(part)] if isinstance(value, list) else []
