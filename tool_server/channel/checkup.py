"""The accounts' examination every hour: a metric, and a log line where it came out differently; part of the worker."""

import random
import threading

import structlog
from prometheus_client import CollectorRegistry, Gauge

from tool_server.channel.accounts import Accounts
from tool_server.channel.doctor import examine
from tool_server.database import Database
from tool_server.settings import Settings

log = structlog.get_logger()

# The first one soon after the start, not with all the other things that start then.
FIRST_S = 60.0


class Checkup:
    """A thread of its own: a check may wait for the platform and for Dify."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        accounts: Accounts,
        registry: CollectorRegistry,
    ) -> None:
        self._settings = settings
        self._database = database
        self._accounts = accounts
        self._gauge = Gauge(
            "shenqiao_channel_check_ok",
            "1 where a check of an account went well the last time, else 0.",
            ["account", "check"],
            registry=registry,
        )
        self._last: dict[tuple[str, str], bool] = {}
        self._thread = threading.Thread(target=self._run, name="checkup", daemon=True)
        self._stopped = threading.Event()

    def start(self) -> None:
        if self._settings.channel_check_every_s:
            self._thread.start()

    def stop(self) -> None:
        """Without waiting for a check that is under way; it changes nothing."""
        self._stopped.set()

    def look(self) -> None:
        """Examine every account that is switched on."""
        found: dict[tuple[str, str], bool] = {}
        for name, account in self._accounts.everything().items():
            if not account.enabled or self._stopped.is_set():
                continue
            for check in examine(self._settings, self._database, name, account):
                found[name, check.name] = check.ok
                if self._last.get((name, check.name), True) != check.ok:
                    log.warning(
                        "check.changed",
                        account=name,
                        check=check.name,
                        ok=check.ok,
                        advice=check.advice,
                    )
        self._show(found)

    def _show(self, found: dict[tuple[str, str], bool]) -> None:
        for key, ok in found.items():
            self._gauge.labels(*key).set(ok)
        for key in self._last.keys() - found.keys():  # an account that is gone
            self._gauge.remove(*key)
        self._last = found

    def _run(self) -> None:
        pause_s = min(FIRST_S, self._settings.channel_check_every_s)
        while not self._stopped.wait(pause_s):
            try:
                self.look()
            except Exception as error:  # the next one may go well
                log.error("checkup.fault", exc_info=error)
            pause_s = self._settings.channel_check_every_s * random.uniform(0.9, 1.1)
