"""The importable apps in `workflows/`: checks the YAML files, makes JSON of them, fills in the packages' identifiers.

`python -m scripts.workflows` writes the JSON files again; `make package` calls `filled`.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from scripts.dsl.check import faults
from scripts.dsl.packages import Catalogue
from scripts.dsl.shapes import AppFile

ROOT = Path(__file__).resolve().parent.parent
FOLDER = "workflows"


class WorkflowError(Exception):
    """A file cannot be imported, or could not run; the sentence names it."""


def main() -> None:
    for name, content in read(ROOT).items():
        path = ROOT / FOLDER / f"{name}.json"
        path.write_bytes(as_json(content))
        print(path.relative_to(ROOT))


def read(root: Path) -> dict[str, dict[str, Any]]:
    """All apps by name, checked. Raises `WorkflowError`."""
    catalogue = Catalogue.read(root)
    paths = sorted((root / FOLDER).glob("*.yml"))
    return {path.stem: checked(path.name, _load(path), catalogue) for path in paths}


def checked(name: str, content: dict[str, Any], catalogue: Catalogue) -> dict[str, Any]:
    """The same content. Raises `WorkflowError` for a wrong shape, edge, variable, tool or model."""
    try:
        app = AppFile.model_validate(content)
    except ValidationError as error:
        raise WorkflowError(f"{name}: {error}") from None
    if wrong := faults(app, catalogue):
        raise WorkflowError(f"{name}: {'; '.join(wrong)}.")
    return content


def filled(root: Path, identities: Mapping[str, str]) -> dict[str, bytes]:
    """All apps as files, YAML and JSON, that name the packages which they need, so that an import offers them.

    `identities` maps "author/name" to "author/name:version@checksum". Raises `WorkflowError`.
    """
    catalogue = Catalogue.read(root)
    files: dict[str, bytes] = {}
    for name, content in read(root).items():
        whole = checked(name, fill(content, identities), catalogue)
        files |= {f"{name}.yml": as_yaml(whole), f"{name}.json": as_json(whole)}
    return files


def fill(content: dict[str, Any], identities: Mapping[str, str]) -> dict[str, Any]:
    """A copy with `dependencies` and the tool nodes' identifiers. Raises `WorkflowError` for a package without one."""
    copy: dict[str, Any] = json.loads(json.dumps(content))
    needed: dict[str, str] = {}
    for data, plugin in _packages(copy):
        if plugin not in identities:
            raise WorkflowError(f"{content['app']['name']}: no identifier is known of {plugin}.")
        needed[plugin] = identities[plugin]
        if data["type"] == "tool":
            data["plugin_unique_identifier"] = needed[plugin]
    copy["dependencies"] = [_dependency(needed[plugin]) for plugin in sorted(needed)]
    return copy


def as_yaml(content: Mapping[str, Any]) -> bytes:
    return yaml.safe_dump(content, allow_unicode=True, width=1000).encode()


def as_json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, ensure_ascii=False, indent=2, sort_keys=True) + "\n").encode()


def _packages(content: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """The data of each node that needs a package, with the package's name."""
    for node in content["workflow"]["graph"]["nodes"]:
        data = node["data"]
        if data["type"] == "tool":
            yield data, data["plugin_id"]
        elif data["type"] == "llm" and data["model"]["provider"]:
            yield data, data["model"]["provider"].rpartition("/")[0]


def _dependency(identity: str) -> dict[str, Any]:
    version = identity.partition(":")[2].partition("@")[0]
    return {
        "type": "package",
        "value": {"plugin_unique_identifier": identity, "version": version},
    }


def _load(path: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")))


if __name__ == "__main__":
    try:
        main()
    except WorkflowError as error:
        sys.exit(str(error))
