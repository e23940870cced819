"""The key file: strict where a typing error would open something, whole after every change, one writer at a time."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tool_server import key_changes, key_file
from tool_server.key_file import SCOPES, Key, KeyFileError, digest

ADMIN = {"name": "admin", "key": "hidden-secret", "scopes": ["admin"]}
HASHED = {"name": "bot", "sha256": digest("x"), "scopes": ["model"]}
WRITER = """
import sys
from pathlib import Path
from tool_server import key_changes, key_file
from tool_server.key_file import Key, digest, new_secret

path, name = Path(sys.argv[1]), sys.argv[2]
print("ready", flush=True)
sys.stdin.readline()
for number in range(40):
    new = Key(name=f"{name}-{number}", sha256=digest(new_secret()), scopes=("model",))
    key_file.edit(path, lambda keys: key_changes.add(keys, new))
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    key_file.make(path)
    return path


def write(path: Path, *entries: dict[str, Any]) -> None:
    path.write_text(json.dumps({"keys": entries}))


@pytest.mark.parametrize(
    ("entry", "place"),
    [
        ({**HASHED, "expire": "2027-01-31"}, "keys.1.expire"),
        ({**HASHED, "expires": "next year"}, "keys.1.expires"),
        ({**HASHED, "expires": "2027-01-31T12:00:00"}, "keys.1.expires"),
        ({**HASHED, "expires": 1800000000}, "keys.1.expires"),
        ({**HASHED, "expires": "9999-12-31T23:59:59-23:59"}, None),
        ({**HASHED, "max_running": 0}, "keys.1.max_running"),
        ({**HASHED, "max_running": "4"}, "keys.1.max_running"),
        ({**HASHED, "tokens_per_minute": 1.5}, "keys.1.tokens_per_minute"),
        ({**HASHED, "requests_per_minute": True}, "keys.1.requests_per_minute"),
        ({**HASHED, "disabled": "maybe"}, "keys.1.disabled"),
        ({**HASHED, "models": []}, "keys.1.models"),
        ({**HASHED, "scopes": []}, "keys.1.scopes"),
        ({**HASHED, "scopes": ["root"]}, "keys.1.scopes.0"),
        ({**HASHED, "sha256": "short"}, "keys.1.sha256"),
        ({**HASHED, "rights": ["everybody"]}, "keys.1.rights.0"),
        ({**HASHED, "rights": ["*", "group:acme/g"]}, None),
        ({**HASHED, "key": "both"}, "either key or sha256"),
        ({"name": "none", "scopes": ["model"]}, "either key or sha256"),
        ({**HASHED, "name": "admin"}, "same name"),
        ({**HASHED, "sha256": digest("hidden-secret")}, "same secret"),
        ({**HASHED, "previous": [{"sha256": digest("y")}]}, "keys.1.previous.0.until"),
    ],
)
def test_a_wrong_entry_is_named_and_no_secret_is(
    path: Path, entry: dict[str, Any], place: str | None
) -> None:
    write(path, ADMIN, entry)
    if place is None:
        assert key_file.read(path)[1].state(0) == "enabled"
        return
    with pytest.raises(KeyFileError) as caught:
        key_file.read(path)
    assert place in str(caught.value)
    assert "hidden-secret" not in str(caught.value)


def test_a_file_of_the_first_version_is_read_and_its_keys_stay_as_text(path: Path) -> None:
    write(path, ADMIN, {"name": "app", "key": "k", "scopes": ["model", "knowledge"]})
    new = Key(name="bot", sha256=digest("x"), scopes=("model",))
    key_file.edit(path, lambda keys: key_changes.add(keys, new))
    assert json.loads(path.read_text())["keys"] == [
        ADMIN,
        {"name": "app", "key": "k", "scopes": ["model", "knowledge"]},
        {"name": "bot", "sha256": digest("x"), "scopes": ["model"]},
    ]


def test_two_processes_that_write_lose_nothing(path: Path) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for name in ("a", "b")
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write(b"go\n")
        writer.stdin.flush()
    looks = 0
    while any(writer.poll() is None for writer in writers):
        assert len(key_file.read(path)) >= 4  # never half a file
        looks += 1
    for writer in writers:
        writer.communicate()
    names = {key.name for key in key_file.read(path)}
    assert {f"{name}-{number}" for name in "ab" for number in range(40)} <= names
    assert looks > 3
    assert [file.name for file in path.parent.iterdir()] == ["keys.json"]


def test_mode_and_owner_stay_so_that_the_server_can_read_what_root_wrote(path: Path) -> None:
    path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(path, 65534, 65534)
    before = path.stat()
    key_file.edit(path, lambda keys: keys[:-1])
    after = path.stat()
    assert stat.S_IMODE(after.st_mode) == 0o640
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)
    assert after.st_ino != before.st_ino


def test_a_link_stays_a_link(path: Path) -> None:
    real = path.with_name("real.json")
    path.rename(real)
    path.symlink_to(real)
    key_file.edit(path, lambda keys: keys[:-1])
    assert path.is_symlink()
    assert len(key_file.read(real)) == len(SCOPES)


def test_a_change_that_fails_leaves_everything_as_it_was(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(key_changes.Mistake, match="no key 'nobody'; there are: model"):
        key_file.edit(path, lambda keys: key_changes.remove(keys, "nobody"))
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["keys.json"]
