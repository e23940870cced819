"""`make package`: the same bytes for the same files, and nothing in a package that is not its own."""

import re
import zipfile
from pathlib import Path

import pytest

from scripts.package import PACKAGES, build, checksum

A, B = PACKAGES


def contents(path: Path) -> set[str]:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return set(archive.namelist())


@pytest.mark.parametrize("root", PACKAGES, ids=["A", "B"])
def test_two_builds_are_the_same_to_the_byte(root: Path, tmp_path: Path) -> None:
    first, identity = build(root, tmp_path / "one")
    second, again = build(root, tmp_path / "two")
    assert first.read_bytes() == second.read_bytes()
    assert identity == again
    assert re.fullmatch(r"shenqiao/shenqiao(_model)?:\d+\.\d+\.\d+@[0-9a-f]{64}", identity)


def test_package_a_holds_its_own_parts_and_nothing_of_the_server(tmp_path: Path) -> None:
    names = contents(build(A, tmp_path)[0])
    assert {"manifest.yaml", "main.py", "requirements.txt", "README.md", "PRIVACY.md"} <= names
    assert "dify_plugin/tools/search.py" in names
    tops = {name.split("/")[0] for name in names if "/" in name}
    assert tops == {"_assets", "dify_plugin", "readme"}
    assert not any(name.startswith("dify_plugin/model_provider/") for name in names)


def test_package_b_holds_its_own_parts(tmp_path: Path) -> None:
    names = contents(build(B, tmp_path)[0])
    assert "models/llm/llm.py" in names
    tops = {name.split("/")[0] for name in names if "/" in name}
    assert tops == {"_assets", "models", "provider"}


def test_the_checksum_changes_with_a_name_and_with_a_byte() -> None:
    base = checksum({"a": b"1"})
    assert len({base, checksum({"b": b"1"}), checksum({"a": b"2"}), checksum({})}) == 4
