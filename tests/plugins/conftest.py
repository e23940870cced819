"""Tests that import Dify's SDK; they run in a pytest process of their own, because the SDK patches the process."""

import warnings
from pathlib import Path

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # gevent wants to be first; nothing here uses the network
    import dify_plugin

ROOT = Path(__file__).parents[2]
dify_plugin.__path__.append(str(ROOT / "dify_plugin"))
