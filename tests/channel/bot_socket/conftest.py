"""A bench with one bot, fresh for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.channel.bot_socket.bench import Bench, make_bot, open_bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with open_bench(tmp_path, make_bot()) as bench:
        yield bench
