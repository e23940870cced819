"""The command line: a wrong call ends with a sentence, never with a stack trace."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from playground.processes import environment
from tests.channel.conftest import AES_KEY

ACCOUNT = {
    "surface": "wecom_app",
    "corp_id": "wwcorp",
    "agent_id": 1,
    "secret": "s",
    "token": "t",
    "encoding_aes_key": AES_KEY,
    "dify_url": "http://127.0.0.1:9/v1",
    "dify_key": "app-k",
}


def run(
    tmp_path: Path, *arguments: str, text: str = "", **settings: str
) -> subprocess.CompletedProcess[str]:
    environ = environment(
        SHENQIAO_DATA_DIR=str(tmp_path / "data"),
        SHENQIAO_RUN_DIR=str(tmp_path / "r"),
        SHENQIAO_CHANNEL_WECOM_URL="http://127.0.0.1:9",
        **settings,
    )
    command = [sys.executable, "-m", "tool_server", *arguments]
    done = subprocess.run(
        command, env=environ, input=text, capture_output=True, text=True, check=False, timeout=60
    )
    assert "Traceback" not in done.stderr
    return done


def test_an_account_is_added_tested_listed_and_removed(tmp_path: Path) -> None:
    added = run(tmp_path, "account", "add", "demo", text=json.dumps(ACCOUNT))
    assert added.returncode == 0
    assert "saved demo" in added.stdout
    assert "NO  dify" in added.stdout
    assert run(tmp_path, "account", "test", "demo").returncode == 1
    assert run(tmp_path, "account", "list").stdout == "demo\n"
    assert run(tmp_path, "account", "remove", "demo").returncode == 0
    assert run(tmp_path, "account", "list").stdout == ""


@pytest.mark.parametrize(
    ("arguments", "text", "word"),
    [
        (("account", "add", "demo"), "{", "JSON object"),
        (("account", "add", "demo"), "[]", "JSON object"),
        (("account", "add", "demo"), json.dumps({**ACCOUNT, "agent_id": "x"}), "agent_id"),
        (("account", "add", "Demo!"), json.dumps(ACCOUNT), "name"),
        (("account", "test", "nobody"), "", "There is no account"),
        (("account", "remove", "nobody"), "", "There is no account"),
        (("trace", "1", "--account", "nobody"), "", "No message"),
        (("ingest", "--base", "../x", "."), "", "base's name"),
        (("ingest", "--base", "kb", "nowhere.md"), "", "there is no such file"),
        (("ingest", "."), "", "--base"),
    ],
)
def test_a_wrong_call_ends_with_a_sentence(
    tmp_path: Path, arguments: tuple[str, ...], text: str, word: str
) -> None:
    done = run(tmp_path, *arguments, text=text)
    assert done.returncode != 0
    assert word in done.stderr


def test_a_handbook_that_is_not_text_is_named_and_the_rest_is_taken(tmp_path: Path) -> None:
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "good.md").write_text("# 停车\n每月 120 元")
    (folder / "bad.md").write_bytes(bytes(range(256)) * 50)
    done = run(tmp_path, "ingest", "--base", "kb", str(folder))
    assert done.returncode == 1
    assert "bad.md: it is not text" in done.stderr
    assert "1 files, 1 documents" in done.stdout


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"SHENQIAO_MODEL_PATH": "nowhere"}, "SHENQIAO_MODEL_PATH"),
        ({"SHENQIAO_PORT": "x"}, "SHENQIAO_PORT"),
        ({"SHENQIAO_COLOUR": "red"}, "SHENQIAO_COLOUR"),
    ],
)
def test_a_wrong_setting_does_not_start(
    tmp_path: Path, settings: dict[str, str], word: str
) -> None:
    done = run(tmp_path, "serve", **settings)
    assert done.returncode == 2
    assert done.stderr.startswith(f"shenqiao: {word}")
