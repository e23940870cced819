"""Keys: made once, read by all, followed while they change, compared without telling anything."""

import json
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from tool_server import key_changes, key_file, key_use
from tool_server.auth import LOOK_S, SCOPES, Key, Keys
from tool_server.errors import Forbidden, Unauthorized
from tool_server.key_file import digest
from tool_server.settings import Settings, SettingsError, load

NOW = datetime(2027, 1, 15, 12, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load({"SHENQIAO_DATA_DIR": str(tmp_path)})


def require(keys: Keys, scope: str, header: str | None) -> Key:
    headers = {} if header is None else {"Authorization": header}
    with Flask("test").test_request_context(headers=headers):
        return keys.require(scope)


class Clock:
    """A wall clock and a monotonic one that go when they are told."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> float:
        return NOW.timestamp() + self.seconds

    def monotonic(self) -> float:
        return self.seconds


class Office:
    """A key file, the keys read from it, and the clock that they follow."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "keys.json"
        self.clock = Clock()
        self.registry = CollectorRegistry()
        key_file.make(self.path)
        self.keys = self.open()

    def open(self) -> Keys:
        clock = self.clock
        return Keys(self.path, self.registry, now=clock.now, monotonic=clock.monotonic)

    def add(self, secret: str, **fields: Any) -> None:
        new = Key(sha256=digest(secret), **{"name": "new", "scopes": ("model",), **fields})
        self.change(lambda keys: key_changes.add(keys, new))

    def change(self, change: Callable[[key_changes.KeySet], key_changes.KeySet]) -> None:
        key_file.edit(self.path, change)
        self.wait(LOOK_S)

    def wait(self, seconds: float) -> None:
        self.clock.seconds += seconds

    def opens(self, secret: str) -> bool:
        try:
            return bool(require(self.keys, "model", f"Bearer {secret}"))
        except Unauthorized:
            return False

    def faults(self) -> float | None:
        return self.registry.get_sample_value("shenqiao_key_file_faults_total")


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


def test_the_first_start_makes_a_key_for_each_scope_and_the_next_reads_them(
    settings: Settings,
) -> None:
    first, second = Keys.load(settings), Keys.load(settings)
    assert len({first.secret(scope) for scope in SCOPES}) == len(SCOPES)
    assert [first.secret(scope) for scope in SCOPES] == [second.secret(scope) for scope in SCOPES]
    assert stat.S_IMODE((settings.data_dir / "keys.json").stat().st_mode) == 0o600


def test_an_administrator_can_copy_the_first_keys_from_the_file(settings: Settings) -> None:
    keys = Keys.load(settings)
    entries = json.loads((settings.data_dir / "keys.json").read_text())["keys"]
    assert {entry["name"]: entry["key"] for entry in entries if entry["name"] in SCOPES} == {
        scope: keys.secret(scope) for scope in SCOPES
    }


def test_the_tools_form_has_a_first_key_of_its_own(settings: Settings) -> None:
    Keys.load(settings)
    entries = json.loads((settings.data_dir / "keys.json").read_text())["keys"]
    (tools,) = [entry for entry in entries if entry["name"] not in SCOPES]
    assert (tools["name"], tools["scopes"]) == ("tools", ["knowledge", "model"])


def test_processes_that_start_at_once_have_the_same_keys(settings: Settings) -> None:
    with ThreadPoolExecutor(8) as pool:
        loaded = list(pool.map(lambda _: Keys.load(settings).secret("admin"), range(8)))
    assert len(set(loaded)) == 1


def test_a_key_opens_its_scope_only(settings: Settings) -> None:
    keys = Keys.load(settings)
    assert require(keys, "model", f"Bearer {keys.secret('model')}").name == "model"
    with pytest.raises(Forbidden):
        require(keys, "admin", f"Bearer {keys.secret('model')}")


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Basic x", "Bearer wrong", "Bearer é", "x" * 9000]
)
def test_without_a_known_key_nothing_opens(settings: Settings, header: str | None) -> None:
    with pytest.raises(Unauthorized):
        require(Keys.load(settings), "model", header)


def test_the_hash_in_the_file_opens_nothing(office: Office) -> None:
    office.add("secret")
    assert office.opens("secret")
    assert not office.opens(digest("secret"))
    assert "secret" not in office.path.read_text()


def test_a_key_does_not_show_itself() -> None:
    key = Key.model_validate({"name": "n", "key": "hidden", "scopes": ["model"]})
    assert "hidden" not in repr(key)
    assert "hidden" not in str(key)


def test_a_change_of_the_file_holds_within_a_second_and_is_not_looked_for_more_often(
    office: Office,
) -> None:
    new = Key(name="new", sha256=digest("secret"), scopes=("model",))
    key_file.edit(office.path, lambda keys: (*keys, new))
    assert not office.opens("secret")
    office.wait(LOOK_S)
    assert office.opens("secret")
    office.change(lambda keys: key_changes.remove(keys, "new"))
    assert not office.opens("secret")


def test_an_expired_and_a_disabled_key_are_refused_and_say_so(office: Office) -> None:
    office.add("secret", expires=NOW + timedelta(seconds=100))
    assert office.opens("secret")
    office.wait(100)
    with pytest.raises(Unauthorized, match="expired"):
        require(office.keys, "model", "Bearer secret")
    office.change(lambda keys: key_changes.disable(keys, "new"))
    with pytest.raises(Unauthorized, match="disabled"):
        require(office.keys, "model", "Bearer secret")


def test_a_date_alone_means_its_end(office: Office) -> None:
    office.add("secret", expires="2027-01-15")
    office.wait(timedelta(hours=11, minutes=59).total_seconds())
    assert office.opens("secret")
    office.wait(61)
    assert not office.opens("secret")


def test_the_old_secret_is_good_for_the_grace_time_and_the_name_stays(office: Office) -> None:
    office.add("old", expires=None)
    soon = {"until": NOW + timedelta(hours=1), "sha256": digest("old")}

    def rotated(keys: key_changes.KeySet) -> key_changes.KeySet:
        *others, key = keys
        changes = {"sha256": digest("fresh"), "previous": (key_file.Previous(**soon),)}
        return (*others, key.model_copy(update=changes))

    office.change(rotated)
    names = {require(office.keys, "model", f"Bearer {s}").name for s in ("old", "fresh")}
    assert names == {"new"}
    office.wait(3600)
    assert not office.opens("old")
    assert office.opens("fresh")


@pytest.mark.parametrize("broken", [b"{", b"", b'{"keys": []}', b"\xff\xfe", None])
def test_a_broken_file_keeps_the_last_good_keys_and_is_told_once(
    office: Office, broken: bytes | None
) -> None:
    secret, good = office.keys.secret("model"), office.path.read_bytes()
    with capture_logs() as logs:
        if broken is None:
            office.path.unlink()
        else:
            office.path.write_bytes(broken)
        for _ in range(3):
            office.wait(LOOK_S)
            assert office.opens(secret)
        assert [entry["event"] for entry in logs] == ["keys.unreadable"]
        assert office.faults() == 1
        office.path.write_bytes(good)
        office.wait(LOOK_S)
        assert office.opens(secret)
        assert [entry["event"] for entry in logs] == ["keys.unreadable", "keys.read"]


def test_a_repaired_file_counts_again(office: Office) -> None:
    good = office.path.read_bytes()
    office.path.write_bytes(b"{")
    office.wait(LOOK_S)
    assert not office.opens("secret")
    office.path.write_bytes(good)
    office.add("secret")
    assert office.opens("secret")


def test_a_file_that_is_broken_at_the_start_is_a_sentence(settings: Settings) -> None:
    (settings.data_dir / "keys.json").write_text('{"keys": [{"name": "x", "key": "hidden"}]}')
    with pytest.raises(SettingsError, match=r"keys\.json: keys\.0\.scopes") as caught:
        Keys.load(settings)
    assert "hidden" not in str(caught.value)


def test_our_own_processes_get_a_key_that_works(office: Office) -> None:
    office.change(lambda keys: key_changes.remove(keys, "tools"))  # it opens the model, too
    first = office.keys.secret("model")

    def rotate(keys: key_changes.KeySet, *, hashed: bool) -> key_changes.KeySet:
        secret = "hashed" if hashed else "fresh"
        return key_changes.rotate(keys, "model", secret, grace=timedelta(hours=1), hashed=hashed)

    office.change(lambda keys: rotate(keys, hashed=False))
    assert office.keys.secret("model") == "fresh" != first
    office.change(lambda keys: rotate(keys, hashed=True))
    with pytest.raises(SettingsError, match="model"):
        office.keys.secret("model")
    assert office.opens("hashed")


def test_requests_and_refusals_are_counted_and_the_last_use_is_written(office: Office) -> None:
    secret = office.keys.secret("model")
    for _ in range(2):
        assert office.opens(secret)
    assert not office.opens("wrong")
    labels = {"key": "model", "scope": "model"}
    assert office.registry.get_sample_value("shenqiao_key_requests_total", labels) == 2
    refused = {"code": "unauthorized"}
    assert office.registry.get_sample_value("shenqiao_key_refused_total", refused) == 1
    assert key_use.read(office.path.with_name(key_use.FILE)) == {"model": NOW.timestamp()}


def test_a_disk_that_refuses_the_note_of_a_use_refuses_no_request(office: Office) -> None:
    office.path.with_name("keys_used.draft").mkdir()
    with capture_logs() as logs:
        assert office.opens(office.keys.secret("model"))
    assert [entry["event"] for entry in logs] == ["keys.use_not_written"]
