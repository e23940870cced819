"""`make package-check`: what we build passes, and a package with any one rule broken is refused, naming the rule."""

import hashlib
import io
import json
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.package import archive, bundle, offline, signing
from scripts.package.__main__ import build
from scripts.package.check.__main__ import RULES, check, check_file
from scripts.package.folder import MODEL, TOOLS
from tests.package_changes import (
    OF_THE_MODEL,
    OF_TOOLS,
    WORDS,
    Case,
    Change,
    Files,
    instead,
    manifest,
    plus,
    top,
    without,
)


@dataclass(frozen=True)
class Built:
    tools: Files
    model: Files


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("dist")
    return Built(archive.read(build(TOOLS, folder)), archive.read(build(MODEL, folder)))


def zipped(files: Files, comment: bytes = b"") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        for name, content in files.items():
            opened.writestr(zipfile.ZipInfo(name), content)
        opened.comment = comment
    return buffer.getvalue()


def rules(content: bytes) -> set[str]:
    return {finding.rule for finding in check_file(content)[0]}


def ids(cases: list[Case]) -> list[str]:
    return [what for _, what, _ in cases]


def test_what_we_build_keeps_all_rules(tmp_path: Path) -> None:
    packages = [build(root, tmp_path) for root in (TOOLS, MODEL)]
    whole = tmp_path / "both.difybndl"
    bundle.build(packages, whole)
    assert list(check([*packages, whole])) == []


def test_what_we_sign_keeps_all_rules_with_its_key_only(tmp_path: Path) -> None:
    ours, other = tmp_path / "ours.private.pem", tmp_path / "other.private.pem"
    public, foreign = signing.make_keys(ours), signing.make_keys(other)
    package = build(MODEL, tmp_path, key=signing.load_key(ours))
    assert list(check([package], public)) == []
    assert [finding.rule for _, finding in check([package], foreign)] == ["signed-with-this-key"]


@pytest.mark.parametrize(("rule", "what", "change"), OF_TOOLS, ids=ids(OF_TOOLS))
def test_package_a_is_refused_with(built: Built, rule: str, what: str, change: Change) -> None:
    files = dict(built.tools)
    change(files)
    assert rule in rules(zipped(files))


@pytest.mark.parametrize(("rule", "what", "change"), OF_THE_MODEL, ids=ids(OF_THE_MODEL))
def test_package_b_is_refused_with(built: Built, rule: str, what: str, change: Change) -> None:
    files = dict(built.model)
    change(files)
    assert rule in rules(zipped(files))


def test_every_rule_is_broken_by_one_of_these() -> None:
    broken = {rule for rule, _, _ in [*OF_TOOLS, *OF_THE_MODEL]}
    assert {rule.__name__.replace("_", "-") for rule in RULES} <= broken


def test_a_file_that_is_there_twice_or_is_a_link_is_refused(built: Built) -> None:
    buffer = io.BytesIO(zipped(built.tools))
    with zipfile.ZipFile(buffer, "a") as opened, pytest.warns(UserWarning, match="Duplicate"):
        opened.writestr("main.py", "import os")
    assert "safe-paths" in rules(buffer.getvalue())
    buffer = io.BytesIO(zipped(built.tools))
    with zipfile.ZipFile(buffer, "a") as opened:
        link = zipfile.ZipInfo("dify_plugin/link.py")
        link.external_attr = 0o120777 << 16
        opened.writestr(link, "/etc/passwd")
    assert "safe-paths" in rules(buffer.getvalue())


def test_the_command_fails_and_names_file_rule_and_place(built: Built, tmp_path: Path) -> None:
    files = dict(built.tools)
    manifest(author="Shenqiao")(files)
    (tmp_path / "a.difypkg").write_bytes(zipped(files))
    command = [sys.executable, "-m", "scripts.package.check", str(tmp_path / "a.difypkg")]
    done = subprocess.run(command, cwd=TOOLS, capture_output=True, text=True)
    assert done.returncode == 1
    assert "a.difypkg: manifest-fields: manifest.yaml: author: " in done.stdout


def test_what_is_no_zip_is_refused() -> None:
    assert rules(b"difypkg") == {"readable"}


WHEEL = "x-1-py3-none-any.whl"
PIN = f"x==1 --hash=sha256:{hashlib.sha256(b'wheel').hexdigest()}\n"
SDK = f"dify-plugin==0.10.2 --hash=sha256:{hashlib.sha256(b'sdk').hexdigest()}\n"


@pytest.mark.parametrize(
    ("requirements", "wheels", "sound"),
    [
        (SDK + PIN, {WHEEL: b"wheel"}, True),
        (SDK + PIN, {WHEEL: b"another"}, False),
        (SDK + PIN, {}, False),
        (SDK, {WHEEL: b"wheel"}, False),
        (SDK + "x==1\n", {WHEEL: b"wheel"}, False),
        (SDK + PIN, {"x-1-cp312-cp312-manylinux_2_28_aarch64.whl": b"wheel"}, False),
        (SDK + PIN, {"x-1-cp313-cp313-manylinux_2_28_x86_64.whl": b"wheel"}, False),
        (SDK + PIN, {"x-1-cp312-cp312-manylinux_2_28_x86_64.whl": b"wheel"}, True),
    ],
)
def test_an_offline_package_needs_each_wheel_with_its_hash_for_its_processor(
    built: Built, requirements: str, wheels: dict[str, bytes], sound: bool
) -> None:
    sdk = {"dify_plugin-0.10.2-py3-none-any.whl": b"sdk"} if wheels else {}
    files = offline.offline(built.model, "amd64", {**sdk, **wheels})
    instead("requirements.txt", f"--no-index\n--find-links=./wheels/\n{requirements}")(files)
    assert rules(zipped(files)) == (set() if sound else {"wheels"})


def bundled(built: Built, **changes: Any) -> Files:
    manifest = {
        "name": "shenqiao", "labels": WORDS, "description": WORDS, "icon": "icon.svg", "version": "0.1.0",
        "author": "shenqiao", "type": "bundle",
        "dependencies": [{"type": "package", "value": {"path": "a.difypkg"}}],
    }  # fmt: skip
    return {
        "manifest.yaml": json.dumps({**manifest, **changes}).encode(),
        "README.md": b"x",
        "_assets/icon.svg": built.tools["_assets/icon.svg"],
        "_assets/a.difypkg": zipped(built.tools),
    }


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("bundle-fields", lambda files: instead("manifest.yaml", "type: bundle")(files)),
        ("bundle-files", without("_assets/a.difypkg")),
        ("bundle-files", without("_assets/icon.svg")),
        ("bundle-files", plus("notes.txt")),
        ("safe-paths", plus("_assets/../x.difypkg")),
        ("no-secrets", plus("README.md", "-----BEGIN PRIVATE KEY-----")),
        ("one-version", top(lambda body: body.update(version="9.9.9"))),
        ("readable", instead("_assets/a.difypkg", "no zip")),
    ],
)  # fmt: skip
def test_a_bundle_is_refused_with(built: Built, rule: str, change: Change) -> None:
    files = bundled(built, version=yaml.safe_load(built.tools["manifest.yaml"])["version"])
    assert check_file(zipped(files), bundle=True)[0] == []
    change(files)
    assert rule in {finding.rule for finding in check_file(zipped(files), bundle=True)[0]}


def test_packages_of_different_versions_are_no_release(built: Built, tmp_path: Path) -> None:
    files = dict(built.model)
    manifest(version="9.9.9")(files)
    (tmp_path / "a.difypkg").write_bytes(zipped(built.tools))
    (tmp_path / "b.difypkg").write_bytes(zipped(files))
    found = list(check([tmp_path / "a.difypkg", tmp_path / "b.difypkg"]))
    assert [finding.rule for _, finding in found] == ["one-version"]


@pytest.mark.parametrize("checksum", ["its own", "another"])
def test_an_app_names_the_packages_beside_it(tmp_path: Path, checksum: str) -> None:
    package = build(MODEL, tmp_path)
    wanted = archive.identity(archive.read(package))
    if checksum == "another":
        wanted = wanted.replace("@", "@0")
    app = tmp_path / "app.json"
    value = {"plugin_unique_identifier": wanted, "version": "0.1.0"}
    app.write_text(json.dumps({"dependencies": [{"type": "package", "value": value}]}))
    found = [finding.rule for _, finding in check([package, app])]
    assert found == ([] if checksum == "its own" else ["workflow-dependencies"])
