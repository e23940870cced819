"""Both packages against the rules of Dify's daemon, read through the SDK's own entities."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from dify_plugin.core.entities.plugin.setup import PluginConfiguration
from dify_plugin.entities.endpoint import EndpointProviderConfiguration
from dify_plugin.entities.model import ModelType
from dify_plugin.entities.model.provider import ModelProviderConfiguration
from dify_plugin.entities.tool import ToolProviderConfiguration
from pathspec import PathSpec

import dify_plugin

ROOT = Path(__file__).parents[2]
A, B = ROOT, ROOT / "dify_plugin" / "model_provider"
# The SDK's own names inside `dify_plugin`; a file or folder of ours must not have one.
RESERVED = {path.stem for path in Path(dify_plugin.__path__[0]).iterdir()} - {"__pycache__"}
LOCALISED_ICONS = {"icon_small", "icon_large", "icon_small_dark", "icon_large_dark"}


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
    tools = {tool.identity.name: tool for tool in provider.tools}
    assert set(tools) == {
        *("search", "document_text", "list_bases", "reply_card", "reply_file"),
        *("annotate_picture", "render_picture", "structured_answer"),
    }
    assert not tools["list_bases"].parameters
    outputs = {name: set(tool.output_schema["properties"]) for name, tool in tools.items()}
    assert all(outputs.values())
    assert outputs["search"] == {"result", "context", "found", "count", "truncated", "language"}
    group = EndpointProviderConfiguration.model_validate(read(A / "dify_plugin/group/wechat.yaml"))
    shown = {
        (endpoint.method, endpoint.path) for endpoint in group.endpoints if not endpoint.hidden
    }
    assert shown == {("GET", "/callback"), ("POST", "/callback"), ("GET", "/status")}
    hidden = {(endpoint.method, endpoint.path) for endpoint in group.endpoints if endpoint.hidden}
    everything = {
        (method, "/<path:path>") for method in ["GET", "POST", "PUT", "DELETE", "OPTIONS"]
    }
    assert hidden == everything | {("POST", "/status"), ("GET", "/")}


def test_the_endpoint_asks_for_no_secret() -> None:
    settings = read(A / "dify_plugin/group/wechat.yaml")["settings"]
    assert {setting["type"] for setting in settings} == {"text-input"}


def test_the_model_provider_and_its_models_are_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(B)
    provider = ModelProviderConfiguration.model_validate(read(B / "provider/private_deepseek.yaml"))
    types = {model.model: model.model_type for model in provider.models}
    assert types == {
        "private-deepseek": ModelType.LLM,
        "private-embedding": ModelType.TEXT_EMBEDDING,
        "private-rerank": ModelType.RERANK,
        "private-speech": ModelType.SPEECH2TEXT,
        "private-moderation": ModelType.MODERATION,
    }
    assert set(provider.supported_model_types) == set(types.values())


def test_a_form_for_one_model_asks_for_the_same_as_the_form_for_all() -> None:
    provider = read(B / "provider/private_deepseek.yaml")
    forms = [provider[f"{name}_credential_schema"] for name in ("provider", "model")]
    assert forms[0]["credential_form_schemas"] == forms[1]["credential_form_schemas"]


def test_our_folder_does_not_hide_the_sdk() -> None:
    folder = ROOT / "dify_plugin"
    assert not (folder / "__init__.py").exists()
    assert {"plugin", "core"} <= RESERVED
    assert {path.stem for path in folder.iterdir()} & RESERVED == set()


@pytest.mark.parametrize("root", [A, B], ids=["A", "B"])
def test_a_file_that_dify_loads_is_short_and_has_one_sdk_class(root: Path) -> None:
    sources = list(_sources(root))
    assert len(sources) >= 2
    for source in sources:
        text = (root / source).read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 40, source
        assert len(re.findall(r"^class ", text, re.MULTILINE)) == 1, source


def test_the_models_source_has_the_three_parts_that_the_sdk_counts_on() -> None:
    sources = read(B / "provider/private_deepseek.yaml")["extra"]["python"]["model_sources"]
    assert len(sources) == 5
    assert all(len(Path(source).parts) >= 3 for source in sources)


@pytest.mark.parametrize("root", [A, B], ids=["A", "B"])
def test_every_icon_that_is_named_is_there(root: Path) -> None:
    for path in _yaml(root):
        for icon in _values(read(path), {"icon", "icon_dark", *LOCALISED_ICONS}):
            for name in icon.values() if isinstance(icon, dict) else [icon]:
                assert (root / "_assets" / name).is_file(), f"{path.name}: {name}"


@pytest.mark.parametrize("root", [A, B], ids=["A", "B"])
def test_dify_s_own_packager_would_take_nothing_else_from_this_folder(root: Path) -> None:
    """It takes every file on the disk that `.difyignore` does not name, known to git or not."""
    packed = set(_packed(root))
    folders = {"dify_plugin"} if root == A else {"models", "provider"}
    tops = {"_assets", "readme"} | folders
    files = {"manifest.yaml", "main.py", "requirements.txt", "README.md", "PRIVACY.md"}
    assert {path.split("/")[0] for path in packed} == tops | files
    kinds = {".yaml", ".py", ".txt", ".md", ".svg"} | ({".png"} if root == A else set())
    assert {Path(path).suffix for path in packed} == kinds
    assert not any("model_provider" in path for path in packed)


@pytest.mark.parametrize("root", [A, B], ids=["A", "B"])
@pytest.mark.parametrize(
    "path",
    [
        ".env",
        ".env.local",
        ".git/config",
        ".venv/x.py",
        "keys.json",
        "signing.private.pem",
        "a/b.log",
    ],
)
def test_secrets_and_leftovers_are_never_packed(root: Path, path: str) -> None:
    assert _ignored(root).match_file(path)


def test_every_label_is_in_both_languages() -> None:
    for path in [*A.glob("dify_plugin/**/*.yaml"), A / "manifest.yaml", B / "manifest.yaml"]:
        for label in _labels(read(path)):
            assert label.get("zh_Hans"), f"{path.name}: {label}"


def _labels(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, dict):
        found = [value] if "en_US" in value else []
        parts = [part for name, part in value.items() if name not in LOCALISED_ICONS]
        return found + [label for part in parts for label in _labels(part)]
    return [label for part in value for label in _labels(part)] if isinstance(value, list) else []


def _values(value: Any, names: set[str]) -> Iterator[Any]:
    """Whatever stands under one of these keys, at any depth."""
    if isinstance(value, dict):
        for name, part in value.items():
            if name in names:
                yield part
            else:
                yield from _values(part, names)
    elif isinstance(value, list):
        for part in value:
            yield from _values(part, names)


def _sources(root: Path) -> Iterator[str]:
    for path in _yaml(root):
        for value in _values(read(path), {"source", "provider_source", "model_sources"}):
            yield from [value] if isinstance(value, str) else value


def _yaml(root: Path) -> list[Path]:
    """The package's YAML files."""
    return [root / path for path in _packed(root) if path.endswith(".yaml")]


def _packed(root: Path) -> Iterator[str]:
    ignored = _ignored(root)
    for folder, folders, names in root.walk():
        here = folder.relative_to(root)
        folders[:] = [name for name in folders if not ignored.match_file(f"{here / name}/")]
        yield from (str(here / name) for name in names if not ignored.match_file(here / name))


def _ignored(root: Path) -> PathSpec[Any]:
    lines = (root / ".difyignore").read_text(encoding="utf-8").splitlines()
    assert not any(line.startswith("!") for line in lines)  # Dify's packager does not know it
    return PathSpec.from_lines("gitignore", lines)
