"""`make package` and `make sign`: the same bytes for the same files, nothing foreign, signatures that Dify verifies."""

import json
import re
import stat
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

from scripts.package import archive, bundle, offline, signing
from scripts.package.__main__ import build, workflows
from scripts.package.archive import PackageError, checksum, identity
from scripts.package.folder import MODEL, TOOLS

# Packed, signed and summed by the program of Dify's daemon.
VECTORS = Path(__file__).parent / "vectors" / "dify"
CHECKSUM = "6a9abd19d0cf58d24c6526f5d796294114b0fd1ae5dd0cd3c1d5ca638755d409"
BOTH = pytest.mark.parametrize("root", [TOOLS, MODEL], ids=["A", "B"])


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    private = tmp_path_factory.mktemp("keys") / "ours.private.pem"
    signing.make_keys(private)
    return private


def names(path: Path) -> set[str]:
    with zipfile.ZipFile(path) as opened:
        assert opened.testzip() is None
        return set(opened.namelist())


@BOTH
def test_two_builds_are_the_same_to_the_byte(root: Path, tmp_path: Path) -> None:
    first, second = build(root, tmp_path / "one"), build(root, tmp_path / "two")
    assert first.read_bytes() == second.read_bytes()
    name = identity(archive.read(first))
    assert re.fullmatch(r"shenqiao/shenqiao(_model)?:\d+\.\d+\.\d+@[0-9a-f]{64}", name)


def test_package_a_holds_its_own_parts_and_nothing_of_the_server(tmp_path: Path) -> None:
    packed = names(build(TOOLS, tmp_path))
    assert {"manifest.yaml", "main.py", "requirements.txt", "README.md", "PRIVACY.md"} <= packed
    assert "dify_plugin/tools/search.py" in packed
    tops = {name.split("/")[0] for name in packed if "/" in name}
    assert tops == {"_assets", "dify_plugin", "readme"}
    assert not any(name.startswith("dify_plugin/model_provider/") for name in packed)


def test_package_b_holds_its_own_parts(tmp_path: Path) -> None:
    packed = names(build(MODEL, tmp_path))
    assert "models/llm/llm.py" in packed
    tops = {name.split("/")[0] for name in packed if "/" in name}
    assert tops == {"_assets", "models", "provider", "readme"}


def test_the_checksum_changes_with_a_name_and_with_a_byte() -> None:
    base = checksum({"a": b"1"})
    assert len({base, checksum({"b": b"1"}), checksum({"a": b"2"}), checksum({})}) == 4


def test_a_package_over_the_limit_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match=r"big\.difypkg is over"):
        archive.write(tmp_path / "big.difypkg", {"a": bytes(archive.LIMIT + 1)})
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_holds_both_packages_and_names_them(tmp_path: Path) -> None:
    packages = [build(root, tmp_path) for root in (TOOLS, MODEL)]
    for name in ("one", "two"):
        bundle.build(packages, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    files = archive.read(tmp_path / "one")
    manifest = yaml.safe_load(files["manifest.yaml"])
    paths = [dependency["value"]["path"] for dependency in manifest["dependencies"]]
    assert [files[f"_assets/{path}"] for path in paths] == [p.read_bytes() for p in packages]
    assert (
        manifest["version"] == yaml.safe_load(archive.read(packages[1])["manifest.yaml"])["version"]
    )


def test_the_apps_name_the_packages_by_their_identities(tmp_path: Path, key: Path) -> None:
    loaded = signing.load_key(key)
    packages = [build(root, tmp_path, key=loaded) for root in (TOOLS, MODEL)]
    identities = [identity(archive.read(path)) for path in packages]
    workflows(identities, tmp_path / "apps")
    app = yaml.safe_load((tmp_path / "apps" / "knowledge_assistant.yml").read_text())
    named = [one["value"]["plugin_unique_identifier"] for one in app["dependencies"]]
    assert sorted(named) == sorted(identities)


def test_signing_twice_gives_the_same_bytes_and_another_identity(tmp_path: Path, key: Path) -> None:
    plain = build(MODEL, tmp_path / "plain")
    loaded = signing.load_key(key)
    first, second = (build(MODEL, tmp_path / name, key=loaded) for name in ("one", "two"))
    assert first.read_bytes() == second.read_bytes()
    assert identity(archive.read(first)) != identity(archive.read(plain))


def test_a_signature_holds_for_these_contents_and_this_key_only(tmp_path: Path, key: Path) -> None:
    package = build(MODEL, tmp_path, key=signing.load_key(key))
    public = signing.public_of(key)
    signing.verify(package, public)
    with zipfile.ZipFile(package) as opened:
        comment = opened.comment
    files = archive.read(package)
    archive.write(package, {**files, "main.py": b"import os\n"}, comment)
    with pytest.raises(PackageError, match="or changed"):
        signing.verify(package, public)
    later = json.dumps({**json.loads(comment), "time": 1}).encode()
    archive.write(package, files, later)
    with pytest.raises(PackageError, match="or changed"):
        signing.verify(package, public)
    archive.write(package, files)
    with pytest.raises(PackageError, match="is not signed"):
        signing.verify(package, public)


def test_a_package_that_dify_s_own_program_signed_is_read_in_the_same_way() -> None:
    signing.verify(VECTORS / "signed.difypkg", VECTORS / "public.key")
    assert identity(archive.read(VECTORS / "signed.difypkg")) == f"shenqiao/vector:0.0.1@{CHECKSUM}"


def test_a_signed_package_says_last_who_vouches_for_it(tmp_path: Path, key: Path) -> None:
    files = archive.read(build(MODEL, tmp_path, key=signing.load_key(key)))
    assert list(files)[-1] == ".verification.dify.json"
    assert json.loads(files[".verification.dify.json"]) == {"authorized_category": "community"}


def test_a_private_key_is_for_its_owner_only_and_never_overwritten(key: Path) -> None:
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert key.read_text().startswith("-----BEGIN RSA PRIVATE KEY-----")
    assert signing.public_of(key).read_text().startswith("-----BEGIN RSA PUBLIC KEY-----")
    before = key.read_bytes()
    with pytest.raises(PackageError, match="already there"):
        signing.make_keys(key)
    assert key.read_bytes() == before


def test_a_key_that_others_may_read_is_refused(tmp_path: Path, key: Path) -> None:
    open_to_all = tmp_path / "open.private.pem"
    open_to_all.write_bytes(key.read_bytes())
    open_to_all.chmod(0o644)
    with pytest.raises(PackageError, match="chmod 600"):
        signing.load_key(open_to_all)


def test_an_offline_package_is_for_one_kind_of_processor_and_asks_no_index() -> None:
    manifest = b"at: 2026-11-25T00:00:00Z\nmeta:\n  arch:\n    - amd64\n    - arm64\n"
    files = {"manifest.yaml": manifest, "requirements.txt": b"httpx>=0.28,<1"}
    packed = offline.offline(files, "arm64", {"x-1-py3-none-any.whl": b"wheel"})
    assert packed["manifest.yaml"] == manifest.replace(b"    - amd64\n", b"")
    assert packed["requirements.txt"].startswith(b"--no-index\n--find-links=./wheels/\n")
    assert packed["wheels/x-1-py3-none-any.whl"] == b"wheel"


@BOTH
def test_the_locked_wheels_are_what_the_package_asks_for(root: Path) -> None:
    locked = dict(re.findall(r"^([a-z0-9-]+)==(\S+) \\$", offline.LOCK.read_text(), re.MULTILINE))
    for line in (root / "requirements.txt").read_text().splitlines():
        wanted = Requirement(line)
        assert Version(locked[wanted.name.replace("_", "-")]) in wanted.specifier
