"""Tests that import Dify's SDK; they run in a pytest process of their own, because the SDK patches the process."""

import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # gevent wants to be first; pytest has been before it
    import dify_plugin

from tests.plugins.raw_server import RawServer

ROOT = Path(__file__).parents[2]
dify_plugin.__path__.append(str(ROOT / "dify_plugin"))
sys.path.insert(0, str(ROOT / "dify_plugin" / "model_provider"))


@pytest.fixture(autouse=True)
def fresh_catalogue() -> None:
    """A port that an earlier test's server had may come back."""
    from models.catalogue import catalogue

    catalogue.cache_clear()


@pytest.fixture
def server() -> Iterator[RawServer]:
    with RawServer() as server:
        yield server
