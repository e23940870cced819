"""Settings: read once, refused with a sentence that names the variable."""

from pathlib import Path

import pytest

from tool_server.settings import SettingsError, load


def test_the_defaults_start() -> None:
    settings = load({})
    assert (settings.port, settings.host) == (8000, "127.0.0.1")
    assert settings.run_dir.is_absolute()


@pytest.mark.parametrize(
    ("environ", "word"),
    [
        ({"SHENQIAO_PROT": "8000"}, "SHENQIAO_PROT is not a setting"),
        ({"SHENQIAO_PORT": "eight"}, "SHENQIAO_PORT"),
        ({"SHENQIAO_PORT": "70000"}, "SHENQIAO_PORT"),
        ({"SHENQIAO_LOG_LEVEL": "loud"}, "SHENQIAO_LOG_LEVEL"),
        ({"SHENQIAO_CHANNEL_WAIT_S": "9"}, "SHENQIAO_CHANNEL_WAIT_S"),
        ({"SHENQIAO_MODEL_DTYPE": "float16"}, "SHENQIAO_MODEL_DTYPE"),
        ({"SHENQIAO_RUN_DIR": "/" + "x" * 90}, "SHENQIAO_RUN_DIR"),
    ],
)
def test_a_wrong_setting_is_named(environ: dict[str, str], word: str) -> None:
    with pytest.raises(SettingsError, match=word):
        load(environ)


def test_other_variables_are_nobodys_business() -> None:
    assert load({"PORT": "1", "OTHER_PORT": "2"}).port == 8000


def test_two_installations_have_two_run_folders(tmp_path: Path) -> None:
    one = load({"SHENQIAO_DATA_DIR": str(tmp_path / "a")})
    two = load({"SHENQIAO_DATA_DIR": str(tmp_path / "b")})
    assert one.run_dir != two.run_dir


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load({}).port = 1  # type: ignore[misc]  # just what must fail
