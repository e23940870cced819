"""A tool server whose model is upstream, in the test's own process: real HTTP on both sides, no engine."""

import json
from pathlib import Path
from typing import Any

import httpx

from playground.serving import Server
from tests.waiting import wait_for
from tool_server.app import create_app
from tool_server.migrate import migrate
from tool_server.model.upstream_urls import host
from tool_server.settings import Settings, load


class UpstreamServer:
    """`with UpstreamServer(folder, urls) as server:`; settings besides by name, without the prefix."""

    def __init__(self, folder: Path, *urls: str, **changes: object) -> None:
        names = {
            "DATA_DIR": folder / "d",
            "RUN_DIR": folder / "r",
            "KNOWLEDGE_ENABLED": "false",
            "CHANNEL_ENABLED": "false",
            "MODEL_BACKEND": "upstream",
            "MODEL_UPSTREAM_URLS": ",".join(urls),
            "MODEL_UPSTREAM_PROBE_S": 0.1,
            "MODEL_UPSTREAM_SILENCE_S": 2,
            "WEB_THREADS": 200,
            **{name.upper(): value for name, value in changes.items()},
        }
        self.settings: Settings = load({f"SHENQIAO_{k}": str(v) for k, v in names.items()})
        migrate(self.settings)
        self.app = create_app(self.settings)
        self.backend: Any = self.app.extensions["model"]
        self._server = Server(self.app)
        self.url = self._server.url
        keys = json.loads((folder / "d" / "keys.json").read_text())["keys"]
        key = next(key["key"] for key in keys if "model" in key["scopes"])
        self.http = httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {key}"},
            timeout=30,
            trust_env=False,
        )

    def __enter__(self) -> "UpstreamServer":
        wait_for(lambda: self.ready)
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()
        self._server.close()
        self.backend.close()

    @property
    def ready(self) -> bool:
        """Whether each upstream was looked at once, and one is well."""
        return self.http.get("/health/ready").status_code == 200

    @property
    def circuits(self) -> list[str]:
        """In the order of the URLs."""
        checks = self.http.get("/health/ready").json()["checks"]
        urls = self.settings.model_upstream_urls.split(",")
        return [checks["upstream"]["state"][host(url)] for url in urls]

    def body(self, **body: object) -> dict[str, object]:
        messages = [{"role": "user", "content": "hi"}]
        return {"model": "private-deepseek", "messages": messages, **body}

    def chat(self, **body: object) -> httpx.Response:
        return self.http.post("/v1/chat/completions", json=self.body(**body))

    def text(self, **body: object) -> str:
        answer = self.chat(**body)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["choices"][0]["message"]["content"])

    def frames(self, **body: object) -> list[str]:
        """A stream's frames, taken apart as Dify's SDK does it; comments stay in."""
        answer = self.chat(stream=True, **body)
        assert answer.status_code == 200, answer.text
        return [frame for frame in answer.text.split("\n\n") if frame]

    def chunks(self, **body: object) -> list[dict[str, Any]]:
        frames = [frame for frame in self.frames(**body) if not frame.startswith(":")]
        datas = [frame.removeprefix("data: ") for frame in frames]
        assert datas[-1] == "[DONE]"
        return [json.loads(data) for data in datas[:-1]]

    @property
    def in_work(self) -> float:
        """Requests that are at an upstream or wait for one."""
        states = ("running", "waiting")
        return sum(self.metric(f"shenqiao_model_upstream_{state}_requests") for state in states)

    def metric(self, name: str, **labels: str) -> float:
        page = self.http.get("/metrics").text
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        lines = [line for line in page.splitlines() if line.startswith(name)]
        found = [line for line in lines if all(part in line for part in wanted)]
        return sum(float(line.rsplit(" ", 1)[1]) for line in found)


def text_of(chunks: list[dict[str, Any]], field: str = "content") -> str:
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks if chunk.get("choices")]
    return "".join(delta.get(field) or "" for delta in deltas)
