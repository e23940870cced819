"""Keys: made once, read by all, compared without telling anything."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from flask import Flask

from tool_server.auth import SCOPES, Key, Keys
from tool_server.errors import Forbidden, Unauthorized
from tool_server.settings import Settings, load


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load({"SHENQIAO_DATA_DIR": str(tmp_path)})


def require(keys: Keys, scope: str, header: str | None) -> Key:
    headers = {} if header is None else {"Authorization": header}
    with Flask("test").test_request_context(headers=headers):
        return keys.require(scope)


def test_the_first_start_makes_a_key_for_each_scope_and_the_next_reads_them(
    settings: Settings,
) -> None:
    first, second = Keys.load(settings), Keys.load(settings)
    assert len({first.secret(scope) for scope in SCOPES}) == len(SCOPES)
    assert [first.secret(scope) for scope in SCOPES] == [second.secret(scope) for scope in SCOPES]
    assert stat.S_IMODE((settings.data_dir / "keys.json").stat().st_mode) == 0o600


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
    "header", [None, "", "Bearer", "Bearer ", "Basic x", "Bearer wrong", "x" * 9000]
)
def test_without_a_known_key_nothing_opens(settings: Settings, header: str | None) -> None:
    with pytest.raises(Unauthorized):
        require(Keys.load(settings), "model", header)


def test_a_key_does_not_show_itself(settings: Settings) -> None:
    assert "hidden" not in repr(Key("n", "hidden", ("model",)))
