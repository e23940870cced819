"""Writes the pages that are made from code and results; called by `make docs`, held to by tests."""

from pathlib import Path

from pydantic.fields import FieldInfo

from scripts.bench import page
from tool_server.channel.settings import ChannelSettings
from tool_server.channel.wecom_errors import table, table_zh
from tool_server.knowledge.settings import KnowledgeSettings
from tool_server.model.aux.settings import AuxSettings
from tool_server.model.settings import ModelSettings
from tool_server.pictures.settings import PicturesSettings
from tool_server.settings import PREFIX, Settings

DOCS = Path(__file__).resolve().parent.parent / "docs"
PARTS = (
    ("Model", ModelSettings),
    ("Auxiliary models", AuxSettings),
    ("Knowledge", KnowledgeSettings),
    ("Channel", ChannelSettings),
    ("Pictures", PicturesSettings),
)
ERRORS_BEGIN, ERRORS_END = "<!-- made by `make docs` -->", "<!-- end -->"
HEAD = """# Settings

Made by `make docs` from the code. Each setting is an environment variable, read once at the start. One that is unknown
or has a bad value refuses to start with a sentence that names it.
"""


def settings_page() -> str:
    """The whole page."""
    parted = {name for _, part in PARTS for name in part.model_fields}
    general = {name: field for name, field in Settings.model_fields.items() if name not in parted}
    tables = [_table("General", general)]
    tables += [_table(title, part.model_fields) for title, part in PARTS]
    return HEAD + "\n" + "\n".join(tables)


def errors_page() -> str:
    """The page of errors, with the platform's codes as the code has them."""
    return _with_codes("errors.md", table())


def setup_page_zh() -> str:
    """The Chinese page about WeCom's console, with the same codes."""
    return _with_codes("wecom-setup_zh_Hans.md", table_zh())


def _with_codes(name: str, codes: str) -> str:
    before, rest = (DOCS / name).read_text().split(ERRORS_BEGIN)
    _, after = rest.split(ERRORS_END)
    return f"{before}{ERRORS_BEGIN}\n\n{codes}\n\n{ERRORS_END}{after}"


def _table(title: str, fields: dict[str, FieldInfo]) -> str:
    rows = [
        f"| `{PREFIX}{name.upper()}` | {_default(field)} | {field.description} |"
        for name, field in fields.items()
    ]
    return "\n".join(
        [f"## {title}", "", "| variable | default | meaning |", "|---|---|---|", *rows, ""]
    )


def _default(field: FieldInfo) -> str:
    value = str(field.default).lower() if isinstance(field.default, bool) else str(field.default)
    return f"`{value}`" if value and value != "." else "–"


if __name__ == "__main__":
    (DOCS / "settings.md").write_text(settings_page())
    (DOCS / "errors.md").write_text(errors_page())
    (DOCS / "wecom-setup_zh_Hans.md").write_text(setup_page_zh())
    page.write()
