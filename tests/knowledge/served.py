"""A running tool server that holds documents, and its two doors as Dify opens them; for tests on any index."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from playground.dify.plugin import Plugin
from playground.processes import Process, environment, free_ports
from tool_server.knowledge.search import Knowledge
from tool_server.migrate import migrate
from tool_server.settings import Settings, load

ROOT = Path(__file__).parents[2]
START_S = 60.0


@dataclass(frozen=True)
class Server:
    """A tool server that runs, and its key of the scope `knowledge`."""

    url: str
    key: str


@contextlib.contextmanager
def serve(
    folder: Path, fill: Callable[[Knowledge], None], settings: Mapping[str, str]
) -> Iterator[Server]:
    """A new installation with these settings besides (another index, for example), filled before it starts."""
    (port,) = free_ports([0])
    own = {
        "SHENQIAO_DATA_DIR": str(folder / "data"),
        "SHENQIAO_RUN_DIR": str(folder / "r"),
        "SHENQIAO_PORT": str(port),
        "SHENQIAO_MODEL_ENABLED": "false",
        "SHENQIAO_CHANNEL_ENABLED": "false",
        **settings,
    }
    _fill(load(own), fill)
    log = folder / "tool-server.log"
    process = Process("tool server", ("tool_server", "serve"), log=log, environ=environment(**own))
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_ready(url, process)
        yield Server(url, _key(folder / "data"))
    finally:
        process.stop()


class Tool:
    """Package A's process, asked as Dify's daemon asks it."""

    def __init__(self, log: Path) -> None:
        self._plugin = Plugin(ROOT, log)

    def search(self, server: Server, query: str, **parameters: Any) -> dict[str, Any]:
        """The variables of the tool `search`."""
        data = {
            "type": "tool",
            "action": "invoke_tool",
            "user_id": "u",
            "provider": "knowledge",
            "tool": "search",
            "credentials": {"server_url": server.url, "api_key": server.key},
            "credential_type": "api-key",
            "tool_parameters": {"query": query, **parameters},
        }
        messages = list(self._plugin.call(data, timeout_s=30))
        variables = (one["message"] for one in messages if one["type"] == "variable")
        return {one["variable_name"]: one["variable_value"] for one in variables}

    def stop(self) -> None:
        self._plugin.stop()


def retrieve(
    server: Server, base: str, query: str, *, top_k: int, condition: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    """The records of the External Knowledge API."""
    body = {
        "knowledge_id": base,
        "query": query,
        "retrieval_setting": {"top_k": top_k, "score_threshold": 0.0},
        "metadata_condition": condition,
    }
    headers = {"Authorization": f"Bearer {server.key}"}
    answer = httpx.post(f"{server.url}/retrieval", json=body, headers=headers, trust_env=False)
    answer.raise_for_status()
    return list(answer.json()["records"])


def _fill(settings: Settings, fill: Callable[[Knowledge], None]) -> None:
    migrate(settings)
    knowledge = Knowledge.open(settings)
    fill(knowledge)
    knowledge.catalogue.close()
    knowledge.index.close()


def _wait_ready(url: str, process: Process) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.running():
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"{url}/health/ready", trust_env=False).status_code == 200:
                return
        time.sleep(0.1)
    raise AssertionError(f"the tool server did not start:\n{process.tail()}")


def _key(data_dir: Path) -> str:
    keys = json.loads((data_dir / "keys.json").read_text())["keys"]
    return next(str(key["key"]) for key in keys if "knowledge" in key["scopes"])
