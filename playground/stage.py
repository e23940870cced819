"""The stage: tool server, Dify and WeChat started together in one folder; used by the demo and the end-to-end tests."""

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

import httpx

from playground.processes import Process, StartError, environment, free_ports

ROOT = Path(__file__).resolve().parent.parent
HANDBOOK = ROOT / "playground" / "handbook"
DEMO_MODEL = ROOT / "playground" / "demo_model"
WORKFLOW = ROOT / "workflows" / "knowledge_assistant.yml"

ACCOUNT = "demo"
BOT = "bot"
CORP_ID = "ww0123456789abcdef"
AGENT_ID = 1000002
BASE = "handbook"
USERS = ("zhangwei", "lina", "tom")
SUGGESTIONS = (
    "年假有几天？",
    "VPN密码怎么重置？",
    "停车多少钱？",
    "When is salary paid?",
    "公司股票代码是多少？",
)
START_S = 90.0
SAVES = 5


@dataclass(frozen=True)
class Plan:
    """What to start. Ports are wishes: a taken one is replaced. `dify_url` takes the place of our stand-in."""

    folder: Path
    ports: tuple[int, int, int, int] = (0, 0, 0, 0)  # tool server, Dify, WeChat, phone
    model: bool = True
    knowledge: bool = True
    dify_url: str = ""
    dify_key: str = "app-playground"
    relay: bool = True
    settings: dict[str, str] = field(default_factory=dict)
    wechat: dict[str, Any] = field(default_factory=dict)
    bot: dict[str, Any] | None = (
        None  # an AI bot by webhook beside the app: the simulator's section of it
    )


class Stage:
    """`with Stage(plan) as stage:` — everything is up, the account is saved and its callback URL checked."""

    def __init__(self, plan: Plan, say: Callable[[str], None] = lambda _text: None) -> None:
        self.plan = plan
        self._say = say
        self._open = contextlib.ExitStack()
        self.http = httpx.Client(timeout=30, trust_env=False)
        self.server_url = ""
        self.dify_url = plan.dify_url
        self.platform_url = ""
        self.phone_url = ""
        self.callback_url = ""
        self.endpoint_url = ""
        self.secrets: dict[str, Any] = {
            "corp_id": CORP_ID,
            "agent_id": AGENT_ID,
            "secret": secrets.token_urlsafe(24),
            "token": secrets.token_hex(16),
            "encoding_aes_key": _aes_key(),
        }
        self.bot_secrets = {"token": secrets.token_hex(16), "encoding_aes_key": _aes_key()}

    def __enter__(self) -> "Stage":
        self.plan.folder.mkdir(parents=True, exist_ok=True)
        self._open.callback(self.http.close)
        try:
            self._start()
        except BaseException:
            self._open.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    # -- what tests and demo do with it -------------------------------------------------------

    def key(self, name: str) -> str:
        """One of the first start's keys; those for one scope have its name."""
        keys = json.loads((self.data_dir / "keys.json").read_text())["keys"]
        return str(next(key["key"] for key in keys if key["name"] == name))

    def send(self, user: str, text: str, **more: Any) -> str:
        """A person writes; the message's id. Delivery goes on in the simulator."""
        body = {"user": user, "text": text, **more}
        answer = self._platform("POST", "/playground/messages", json=body)
        return str(answer["msg_id"])

    def send_bot(self, user: str, text: str, **more: Any) -> str:
        """A person writes to the AI bot; the message's id."""
        body = {"user": user, "text": text, **more}
        return str(self._platform("POST", "/playground/bot/messages", json=body)["msg_id"])

    def bot(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        """A call of the simulator's routes for its AI bot."""
        return self._platform(method, f"/playground/bot/{path}", **more)

    def seen(self, user: str, *, after: int = 0, wait_s: float = 0.0) -> list[dict[str, Any]]:
        """What the person's phone has shown since entry number `after`; waits for the next one."""
        query = {"user": user, "after": after, "wait_s": wait_s}
        answer = self._platform("GET", "/playground/seen", params=query)
        return list(answer["seen"])

    def converse(self, user: str, text: str, *, timeout_s: float = 30.0) -> dict[str, Any]:
        """Send a message and wait for what is shown next; the entry, with `msg_id` and `wall_s`."""
        before = self.seen(user)
        after = before[-1]["id"] if before else 0
        started = time.monotonic()
        msg_id = self.send(user, text)
        shown = self.seen(user, after=after, wait_s=timeout_s)
        if not shown:
            raise TimeoutError(f"nothing was shown for {text!r} within {timeout_s} s")
        return {**shown[0], "msg_id": msg_id, "wall_s": time.monotonic() - started}

    def timeline(self, msg_id: str, account: str = ACCOUNT) -> dict[str, Any]:
        """A message's life, from the tool server."""
        return self._json(
            self.http.get(
                f"{self.server_url}/channel/accounts/{account}/messages/{quote(msg_id, safe='')}",
                headers={"Authorization": f"Bearer {self.key('channel')}"},
            )
        )

    def runs(self) -> list[dict[str, Any]]:
        """The runs of the Dify stand-in, newest last."""
        address = self.dify_url.removesuffix("/v1")
        return list(self._json(self.http.get(f"{address}/playground/runs"))["runs"])

    def slow_runs(self, seconds: float, runs: int) -> None:
        address = self.dify_url.removesuffix("/v1")
        body = {"seconds": seconds, "runs": runs}
        self.http.post(f"{address}/playground/slow", json=body).raise_for_status()

    def attack(self, kind: str) -> dict[str, Any]:
        return self._platform("POST", "/playground/attack", json={"kind": kind})

    def script(self, call: str, fault: str, *, times: int = 1, **more: Any) -> None:
        """Make the next `times` calls of one platform route fail in one way."""
        body = {"call": call, "fault": fault, "times": times, **more}
        self._platform("POST", "/playground/script", json=body)

    def counts(self) -> dict[str, Any]:
        return self._platform("GET", "/playground/counts")

    def log_events(self, name: str) -> list[dict[str, Any]]:
        """The tool server's log lines of one event."""
        lines = (self.plan.folder / "tool-server.log").read_text(errors="replace").splitlines()
        found = (json.loads(line) for line in lines if line.startswith("{") and name in line)
        return [event for event in found if event.get("event") == name]

    def pid(self, process: str) -> int:
        """The newest process of this name (web, engine, worker)."""
        started = [e for e in self.log_events("process.started") if e["child"] == process]
        return int(started[-1]["child_pid"])

    def kill(self, process: str) -> int:
        """kill -9 one process of the tool server; the pid that died."""
        pid = self.pid(process)
        with contextlib.suppress(ProcessLookupError):  # it was being restarted at this moment
            os.kill(pid, signal.SIGKILL)
        return pid

    def pids(self, process: str) -> list[int]:
        """All processes of this name that run now."""
        started = {
            e["child_pid"] for e in self.log_events("process.started") if e["child"] == process
        }
        return sorted(pid for pid in started if Path(f"/proc/{pid}/stat").exists())

    def environ(self, **changes: str) -> dict[str, str]:
        """The tool server's environment, for another node beside it."""
        return self._settings() | changes

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `shenqiao …` with the tool server's settings."""
        command = [sys.executable, "-m", "tool_server", *arguments]
        return subprocess.run(
            command, env=self._settings(), capture_output=True, text=True, check=False, timeout=300
        )

    def reconcile(self) -> subprocess.CompletedProcess[str]:
        """Simulator, ledger and log compared by the product's own command."""
        log = str(self.plan.folder / "tool-server.log")
        platform = f"{self.platform_url}/playground/ledger"
        return self.command("reconcile", "--log", log, "--platform", platform)

    def wait_ready(self, timeout_s: float = START_S) -> None:
        """Until every process of the tool server is up."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.HTTPError):
                if self.http.get(f"{self.server_url}/health/ready").status_code == 200:
                    return
            time.sleep(0.05)
        raise StartError("The tool server is not ready; see tool-server.log.")

    @property
    def data_dir(self) -> Path:
        return self.plan.folder / "data"

    # -- how it comes up ----------------------------------------------------------------------

    def _start(self) -> None:
        ports = free_ports(self.plan.ports)
        self.server_url, dify_port = f"http://127.0.0.1:{ports[0]}", ports[1]
        self.platform_url = f"http://127.0.0.1:{ports[2]}"
        if self.plan.knowledge:
            self._ingest()
        self._start_server(ports[0])
        self._start_wechat(ports[2], ports[3])
        if not self.plan.dify_url:
            self._start_dify(dify_port)
        self._save_account()
        self._set_callback()
        if self.plan.bot is not None:
            self._add_bot()

    def _start_wechat(self, platform_port: int, phone_port: int) -> None:
        config = {
            **self.secrets,
            "platform_port": platform_port,
            "phone_port": phone_port,
            "timeline_url": f"{self.server_url}/channel/accounts/{ACCOUNT}/messages/{{msg_id}}",
            "timeline_key": self.key("channel"),
            "users": USERS,
            "suggestions": SUGGESTIONS,
            **self._bot_config(),
            **self.plan.wechat,
        }
        self.phone_url = self._run("WeChat simulator", "playground.wechat", config)["phone_url"]

    def _bot_config(self) -> dict[str, Any]:
        if self.plan.bot is None:
            return {}
        url = f"{self.server_url}/channel/accounts/{BOT}/messages/{{msg_id}}"
        return {"bot": {**self.bot_secrets, "timeline_url": url, **self.plan.bot}}

    def _ingest(self) -> None:
        command = [sys.executable, "-m", "tool_server", "ingest", "--base", BASE, str(HANDBOOK)]
        done = subprocess.run(
            command, env=self._settings(), capture_output=True, text=True, check=False, timeout=120
        )
        (self.plan.folder / "ingest.log").write_text(done.stdout + done.stderr)
        if done.returncode != 0:
            raise StartError(f"The handbook was not ingested:\n{done.stdout}{done.stderr}")
        self._say("The handbook is in the knowledge base.")

    def _start_server(self, port: int) -> None:
        server = Process(
            "tool server",
            ("tool_server", "serve"),
            log=self.plan.folder / "tool-server.log",
            environ=self._settings() | {"SHENQIAO_PORT": str(port)},
        )
        self._open.callback(server.stop)
        try:
            self.wait_ready()
        except StartError:
            raise StartError(f"The tool server did not start:\n{server.tail()}") from None
        self._say(f"The tool server is ready at {self.server_url}")

    def _start_dify(self, port: int) -> None:
        config = {
            "port": port,
            "workflow": str(WORKFLOW),
            "app_key": self.plan.dify_key,
            "knowledge": {"server_url": self.server_url, "api_key": self.key("tools")},
            "model": {"server_url": self.server_url, "api_key": self.key("model")},
            "endpoint": {
                "hook": "playgroundhookaa",
                "server_url": self.server_url,
                "account": ACCOUNT,
            },
        }
        said = self._run("Dify stand-in", "playground.dify", config)
        self.dify_url = f"{said['url']}/v1"
        self.endpoint_url = said["endpoint_url"]
        self._say(f"Dify's stand-in runs both packages at {said['url']}")

    def _save_account(self) -> None:
        self._put_account(ACCOUNT, {**self.secrets, "surface": "wecom_app"})

    def _add_bot(self) -> None:
        """The bot's account, and its callback URL as its console takes it."""
        self._put_account(BOT, {**self.bot_secrets, "surface": "wecom_bot"})
        url = f"{self.server_url}/channel/{BOT}/callback"
        self._save_url("bot's callback URL", url, "bot/callback_url")

    def _save_url(self, what: str, url: str, path: str) -> None:
        """The platform checks it within a second; on a busy machine people press the button again."""
        for _ in range(SAVES):
            body = {"callback_url": url}
            answer = self._platform("POST", f"/playground/{path}", json=body)
            if answer["ok"]:
                return
        raise StartError(f"The platform's check of the {what} failed: {answer}")

    def _put_account(self, name: str, values: dict[str, Any]) -> None:
        answer = self.http.put(
            f"{self.server_url}/channel/accounts/{name}",
            json={**values, "dify_url": self.dify_url, "dify_key": self.plan.dify_key},
            headers={"Authorization": f"Bearer {self.key('admin')}"},
        )
        failed = [check for check in self._json(answer)["checks"] if not check["ok"]]
        if failed:
            raise StartError(f"The account's checks failed: {failed}")

    def _set_callback(self) -> None:
        direct = f"{self.server_url}/channel/{ACCOUNT}/callback"
        relayed = self.plan.relay and not self.plan.dify_url
        self.callback_url = f"{self.endpoint_url}/callback" if relayed else direct
        self._save_url("callback URL", self.callback_url, "callback_url")
        self._say("The WeCom app's callback URL is verified.")

    def _run(self, name: str, module: str, config: dict[str, Any]) -> dict[str, Any]:
        path = self.plan.folder / f"{module}.json"
        path.write_text(json.dumps(config, ensure_ascii=False, indent=2))
        process = Process(
            name,
            (module, "--config", str(path)),
            log=self.plan.folder / f"{module}.log",
            environ=environment(),
        )
        self._open.callback(process.stop)
        return process.ready(START_S)

    def _settings(self) -> dict[str, str]:
        plan = self.plan
        return environment(
            SHENQIAO_DATA_DIR=str(self.data_dir),
            SHENQIAO_CHANNEL_WECOM_URL=self.platform_url,
            SHENQIAO_MODEL_ENABLED=str(plan.model).lower(),
            SHENQIAO_KNOWLEDGE_ENABLED=str(plan.knowledge).lower(),
            **({"SHENQIAO_MODEL_PATH": str(DEMO_MODEL)} if plan.model else {}),
            **plan.settings,
        )

    def _platform(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        return self._json(self.http.request(method, self.platform_url + path, timeout=120, **more))

    def _json(self, response: httpx.Response) -> dict[str, Any]:
        response.raise_for_status()
        answer = response.json()
        assert isinstance(answer, dict)
        return answer


def _aes_key() -> str:
    """43 characters of base64, as the WeCom console makes them."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    return "".join(secrets.choice(alphabet) for _ in range(42)) + "A"


@contextlib.contextmanager
def open_stage(plan: Plan) -> Iterator[Stage]:
    """A stage for tests."""
    with Stage(plan) as stage:
        yield stage
