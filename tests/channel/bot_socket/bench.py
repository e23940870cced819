"""A bot's platform in this process, a scripted Dify, and worker processes on one ledger; for the tests here."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from playground.processes import Process, environment
from playground.wechat.bot.message import Written
from playground.wechat.bot_socket.bot import BotSocket
from playground.wechat.bot_socket.server import SocketServer
from playground.wechat.config import BotSocketConfig
from playground.wechat.faults import Fault
from playground.wechat.ledger import Ledger as SeenLedger
from playground.wechat.limits import BotSocketLimits, MediaLimits
from playground.wechat.media import Media
from tests.fakes.dify import KEY, FakeDify
from tests.waiting import until
from tool_server import heartbeats
from tool_server.channel.account import WeComBotSocket
from tool_server.channel.accounts import Accounts
from tool_server.channel.leaders import standings
from tool_server.channel.ledger import Ledger
from tool_server.channel.schema import leaders
from tool_server.channel.vault import Vault
from tool_server.database import Database
from tool_server.migrate import migrate
from tool_server.settings import Settings, load

BOT, SECRET, ACCOUNT = "bot-1", "the-bots-secret", "robot"
LIMITS: dict[str, Any] = {
    "per_minute": 100_000,
    "per_hour": 1_000_000,
    "subscribes_per_minute": 1000,
}


def make_bot(limits: dict[str, Any] | None = None, **changed: Any) -> BotSocket:
    """A bot on the platform, with generous quotas."""
    config = BotSocketConfig(
        bot_id=BOT, secret=SECRET, limits=BotSocketLimits(**LIMITS | (limits or {})), **changed
    )
    return BotSocket(config, SeenLedger(), Media(MediaLimits()))


@dataclass
class Bench:
    """What a test plays with; `start` brings up worker processes."""

    folder: Path
    server: SocketServer
    dify: FakeDify
    settings: Settings
    environ: dict[str, str]
    database: Database
    accounts: Accounts
    workers: list[Process] = field(default_factory=list)

    @property
    def bot(self) -> BotSocket:
        return self.server.bot

    def start(self, workers: int = 1) -> None:
        """Worker processes, and one connection that is up."""
        for _ in range(workers):
            self.more()
        self.wait_for_all()
        self.wait_up()

    def more(self) -> Process:
        process = Process(
            f"worker {len(self.workers)}",
            ("tool_server", "worker"),
            log=self.folder / f"worker-{len(self.workers)}.log",
            environ=self.environ,
        )
        self.workers.append(process)
        return process

    def wait_up(self) -> None:
        until(lambda: self.bot.connections()[1] == 1, why=self.logs)

    def wait_for_all(self) -> None:
        """Every worker that runs has come up: a second one stands ready to lead."""
        running = {f"worker-{worker.pid}" for worker in self.workers if worker.running()}
        folder = self.settings.run_dir
        until(lambda: running <= {beat.name for beat in heartbeats.read(folder)}, why=self.logs)

    def leader(self) -> Process:
        """The worker that leads the account."""
        owner = until(lambda: self._owner(), why=self.logs)
        return next(worker for worker in self.workers if worker.pid == int(owner.split("-")[-2]))

    def kill(self, worker: Process) -> None:
        os.kill(worker.pid, signal.SIGKILL)
        until(lambda: not worker.running())

    def stop(self) -> None:
        for worker in self.workers:
            worker.stop()

    def save(self, name: str = ACCOUNT, **changed: Any) -> None:
        values: dict[str, Any] = {
            "surface": "wecom_bot_socket",
            "bot_id": BOT,
            "secret": SECRET,
            "dify_url": self.dify.url,
            "dify_key": KEY,
        }
        self.accounts.save(name, WeComBotSocket.model_validate(values | changed))

    def write(self, user: str, text: str, *, copies: int = 1, **more: Any) -> str:
        return self.bot.write(Written(user=user, text=text, **more), copies=copies)

    def seen(self, user: str) -> list[dict[str, Any]]:
        return self.bot.seen(user)

    def answers(self, user: str) -> list[str]:
        """What a person has been shown whole."""
        return [entry["text"] for entry in self.seen(user) if entry["finish"]]

    def counts(self) -> dict[str, int]:
        """What the platform counted of streams and messages."""
        return self.bot.seen_counts()

    def script(self, call: str, fault: str, **more: Any) -> None:
        """What the next frame of a command comes to."""
        self.bot.faults.add(Fault(call=call, fault=fault, **more))

    def timeline(self, msg_id: str) -> dict[str, Any]:
        return Ledger.open(self.database, self.settings).timeline(ACCOUNT, msg_id) or {}

    def done(self, msg_id: str) -> bool:
        return bool(self.timeline(msg_id).get("message", {}).get("state") == "done")

    def events(self, msg_id: str) -> list[str]:
        """Names of what happened to a message so far."""
        return [event["name"] for event in self.timeline(msg_id).get("events", [])]

    def command(self, *arguments: str) -> str:
        """What `shenqiao …` says."""
        done = subprocess.run(
            [sys.executable, "-m", "tool_server", *arguments],
            env=self.environ,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return done.stdout

    def standing(self, name: str = ACCOUNT) -> str:
        return next((one.state for one in standings(self.database, [name])), "")

    def logs(self) -> str:
        return "\n".join(worker.tail(30) for worker in self.workers)

    def _owner(self) -> str:
        found = sa.select(leaders.c.owner).where(
            leaders.c.account == ACCOUNT, leaders.c.lease_until > time.time()
        )
        return self.database.read(lambda db: db.scalar(found)) or ""


@contextlib.contextmanager
def open_bench(folder: Path, bot: BotSocket, **settings: str) -> Iterator[Bench]:
    """A bench with the account saved; `settings` are variables without their beginning, in small letters."""
    with SocketServer(bot) as server, FakeDify() as dify, contextlib.ExitStack() as stack:
        values = {
            "SHENQIAO_DATA_DIR": str(folder / "data"),
            "SHENQIAO_RUN_DIR": str(folder / "r"),
            "SHENQIAO_MODEL_ENABLED": "false",
            "SHENQIAO_CHANNEL_WECOM_BOT_URL": server.url,
            **{f"SHENQIAO_{name.upper()}": value for name, value in settings.items()},
        }
        loaded = load(values)
        migrate(loaded)
        database = Database.open(loaded)
        stack.callback(database.close)
        accounts = Accounts(database, Vault.open(loaded.data_dir))
        bench = Bench(folder, server, dify, loaded, environment(**values), database, accounts)
        stack.callback(bench.stop)
        bench.save()
        yield bench
