"""What the tests of reading share: one parser, and a way to read bytes as a file of a name."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tool_server.knowledge.document import Document
from tool_server.knowledge.parse import Parser
from tool_server.settings import Settings, load

type Read = Callable[..., list[Document]]


@pytest.fixture(scope="session")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings with limits that the tests can reach."""
    folder = tmp_path_factory.mktemp("reading")
    return load(
        {
            "SHENQIAO_DATA_DIR": str(folder / "data"),
            "SHENQIAO_RUN_DIR": str(folder / "r"),
            "SHENQIAO_MODEL_ENABLED": "false",
            "SHENQIAO_KNOWLEDGE_PARSE_S": "10",
            "SHENQIAO_KNOWLEDGE_PARSE_MEMORY_MB": "512",
            "SHENQIAO_KNOWLEDGE_TABLE_ROWS": "20000",
        }
    )


@pytest.fixture(scope="session")
def parser(reading: Settings) -> Iterator[Parser]:
    with Parser(reading) as parser:
        yield parser


@pytest.fixture
def read(parser: Parser, tmp_path: Path) -> Read:
    """The documents of a file with this name and content."""

    def read(name: str, content: bytes | str) -> list[Document]:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return list(parser.documents(path, name))

    return read
