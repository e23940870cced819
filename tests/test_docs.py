"""The docs tell the truth about the code: settings, metrics, routes, errors."""

import re
from pathlib import Path

import pytest

from scripts.docs import errors_page, settings_page, setup_page_zh
from tool_server import errors
from tool_server.app import create_app
from tool_server.migrate import migrate
from tool_server.settings import Settings, load

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = load(
        {
            "SHENQIAO_DATA_DIR": str(tmp_path / "d"),
            "SHENQIAO_RUN_DIR": str(tmp_path / "r"),
            "SHENQIAO_MODEL_PATH": str(ROOT / "playground" / "demo_model"),
        }
    )
    migrate(settings)
    return settings


def test_the_settings_page_is_the_one_made_from_the_code() -> None:
    assert (DOCS / "settings.md").read_text() == settings_page(), "run `make docs`"


def test_the_platforms_error_codes_are_those_of_the_code() -> None:
    assert (DOCS / "errors.md").read_text() == errors_page(), "run `make docs`"
    assert (DOCS / "wecom-setup_zh_Hans.md").read_text() == setup_page_zh(), "run `make docs`"


def test_every_route_has_its_row(settings: Settings) -> None:
    page = (DOCS / "http.md").read_text()
    rules = {str(rule) for rule in create_app(settings).url_map.iter_rules()}
    assert {rule for rule in rules if f"`{rule}`" not in page} == set()


def test_every_metric_has_its_row() -> None:
    page = (DOCS / "metrics.md").read_text()
    code = "\n".join(path.read_text() for path in (ROOT / "tool_server").rglob("*.py"))
    names = set(re.findall(r'"(shenqiao_[a-z_]+)"', code))
    assert len(names) > 5
    assert {name for name in names if f"`{name}`" not in page} == set()
    assert set(re.findall(r"`(shenqiao_[a-z_]+)`", page)) <= names


def test_every_error_code_has_its_row() -> None:
    page = (DOCS / "errors.md").read_text()
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    codes = {kind.code for kind in kinds if issubclass(kind, errors.ApiError)}
    assert "busy" in codes
    assert {code for code in codes if f"`{code}`" not in page} == set()
