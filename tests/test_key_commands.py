"""`shenqiao key …`: a secret is shown once, mistakes are sentences, the last administrator stays."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tool_server.__main__ import shenqiao
from tool_server.key_file import KeyFileError, digest, read

SECRET = re.compile(r"sq-[\w-]{32}")


class Shell:
    """The command line on a data folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "keys.json"

    def run(self, *arguments: str) -> Result:
        environ = {"SHENQIAO_DATA_DIR": str(self.path.parent)}
        return CliRunner(env=environ).invoke(shenqiao, ["key", *arguments])

    def ok(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.exit_code == 0, done.output
        return done.stdout

    def mistake(self, *arguments: str) -> str:
        before = self.path.read_bytes() if self.path.exists() else b""
        done = self.run(*arguments)
        assert done.exit_code in (1, 2)
        assert isinstance(done.exception, SystemExit)
        assert before in (b"", self.path.read_bytes())
        return done.stderr

    def entry(self, name: str) -> dict[str, Any]:
        entries = json.loads(self.path.read_text())["keys"]
        return next(dict(entry) for entry in entries if entry["name"] == name)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def test_a_new_key_is_shown_once_and_stored_hashed(shell: Shell) -> None:
    secret = shell.ok("add", "bot", "--scope", "model", "--scope", "knowledge").strip()
    assert SECRET.fullmatch(secret)
    entry = shell.entry("bot")
    assert entry.pop("created")
    expected = {"name": "bot", "sha256": digest(secret), "scopes": ["model", "knowledge"]}
    assert entry == expected
    assert secret not in shell.path.read_text()
    assert secret not in shell.ok("list")


def test_limits_models_and_a_date_are_kept(shell: Shell) -> None:
    numbers = ["--max-running", "4", "--requests-per-minute", "60", "--tokens-per-minute", "9000"]
    models = ["--model", "a", "--model", "b"]
    shell.ok("add", "bot", "--scope", "model", *numbers, *models, "--expires", "2099-01-31")
    entry = shell.entry("bot")
    assert (entry["max_running"], entry["requests_per_minute"]) == (4, 60)
    assert entry["tokens_per_minute"] == 9000
    assert (entry["models"], entry["expires"]) == (["a", "b"], "2099-01-31T23:59:59Z")
    (line,) = [line for line in shell.ok("list").splitlines() if line.startswith("bot")]
    for shown in ("enabled", "unknown", "max_running=4", "model=b", "expires=2099-01-31T23:59Z"):
        assert shown in line


def test_a_key_is_given_rights_in_their_own_words(shell: Shell) -> None:
    rights = ["--rights", "department:acme/7", "--rights", "user:acme/li"]
    shell.ok("add", "sales", "--scope", "knowledge", *rights, "--rights", "user:acme/li")
    assert shell.entry("sales")["rights"] == ["department:acme/7", "user:acme/li"]
    assert "right=department:acme/7" in shell.ok("list")
    shell.ok("add", "all", "--scope", "knowledge", "--rights", "*")
    for wrong in ("everybody", "department:acme/x", "inherited", "user:acme/", ""):
        said = shell.mistake("add", "bad", "--scope", "knowledge", "--rights", wrong)
        assert "write public, user:<account>/<user>" in " ".join(said.split())


def test_the_list_shows_no_secret_and_when_a_key_was_used(shell: Shell) -> None:
    shell.ok("list")
    used = {"model": datetime(2027, 1, 2, 3, 4, tzinfo=UTC).timestamp()}
    shell.path.with_name("keys_used.json").write_text(json.dumps(used))
    page = shell.ok("list")
    assert "2027-01-02T03:04Z" in page
    assert not SECRET.search(page)


def test_rotation_ends_the_old_secret_or_grants_it_time(shell: Shell) -> None:
    first = shell.ok("add", "bot", "--scope", "model").strip()
    second = shell.ok("rotate", "bot", "--grace", "1.5").strip()
    entry = shell.entry("bot")
    assert entry["sha256"] == digest(second)
    (old,) = entry["previous"]
    assert old["sha256"] == digest(first)
    left = datetime.fromisoformat(old["until"]) - datetime.now(UTC)
    assert timedelta(minutes=89) < left <= timedelta(minutes=90)
    third = shell.ok("rotate", "bot", "--grace", "2").strip()
    assert [old["sha256"] for old in shell.entry("bot")["previous"]] == [
        digest(first),
        digest(second),
    ]
    assert "old_secret_until" in shell.ok("list")
    shell.ok("rotate", "bot")
    assert digest(third) not in shell.path.read_text()
    assert "previous" not in shell.entry("bot")


def test_a_key_that_programs_read_from_the_file_stays_readable_unless_it_shall_not(
    shell: Shell,
) -> None:
    secret = shell.ok("rotate", "model").strip()
    assert shell.entry("model")["key"] == secret
    secret = shell.ok("rotate", "model", "--hashed").strip()
    assert shell.entry("model") == {
        "name": "model",
        "sha256": digest(secret),
        "scopes": ["model"],
    }


def test_a_key_is_disabled_enabled_and_removed(shell: Shell) -> None:
    shell.ok("add", "bot", "--scope", "model")
    shell.ok("disable", "bot")
    assert "disabled" in shell.ok("list")
    shell.ok("enable", "bot")
    assert "disabled" not in shell.entry("bot")
    shell.ok("remove", "bot")
    assert "bot" not in shell.ok("list")


@pytest.mark.parametrize("verb", ["disable", "remove"])
def test_the_last_enabled_admin_key_stays(shell: Shell, verb: str) -> None:
    shell.ok("add", "old-admin", "--scope", "admin")
    shell.ok("disable", "old-admin")
    assert "last enabled key of the scope admin" in shell.mistake(verb, "admin")
    shell.ok("enable", "old-admin")
    shell.ok(verb, "admin")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("add", "bot"), "--scope"),
        (("add", "bot", "--scope", "root"), "root"),
        (("add", "model", "--scope", "model"), "There is a key model already"),
        (("add", "", "--scope", "model"), "is no name"),
        (("add", "a b", "--scope", "model"), "'a b' is no name"),
        (("add", "x" * 65, "--scope", "model"), "is no name"),
        (("add", "bot", "--scope", "model", "--expires", "2020-01-01"), "is past"),
        (("add", "bot", "--scope", "model", "--expires", "soon"), "write 2027-01-31 or"),
        (("add", "bot", "--scope", "model", "--expires", "2099-01-01T00:00:00"), "zone"),
        (("add", "bot", "--scope", "model", "--max-running", "0"), "--max-running"),
        (("add", "bot", "--scope", "model", "--tokens-per-minute", "1e3"), "tokens-per-minute"),
        (("rotate", "nobody"), "There is no key 'nobody'"),
        (("rotate", "model", "--grace", "-1"), "--grace"),
        (("rotate", "model", "--grace", "nan"), "--grace"),
        (("disable", "nobody"), "There is no key 'nobody'"),
        (("enable", "nobody"), "There is no key 'nobody'"),
        (("remove", "nobody"), "There is no key 'nobody'"),
    ],
)
def test_a_mistake_is_a_sentence_and_changes_nothing(
    shell: Shell, arguments: tuple[str, ...], words: str
) -> None:
    shell.ok("list")
    assert words in shell.mistake(*arguments)


def test_a_broken_file_is_not_written_over(shell: Shell) -> None:
    shell.path.write_text('{"keys": [')
    done = shell.run("add", "bot", "--scope", "model")
    assert isinstance(done.exception, KeyFileError)
    assert shell.path.read_text() == '{"keys": ['
    with pytest.raises(KeyFileError):
        read(shell.path)
