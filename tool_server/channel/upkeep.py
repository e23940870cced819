"""What a worker does besides messages: it follows the accounts file, and examines the accounts now and then."""

import threading
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry

from tool_server.channel.account_file import AccountFile
from tool_server.channel.accounts import Accounts
from tool_server.channel.checkup import Checkup
from tool_server.database import Database
from tool_server.settings import Settings

log = structlog.get_logger()

FOLLOW_S = 1.0


class Upkeep:
    """A thread for the file; `checkup` has its own, because it waits for others."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        accounts: Accounts,
        registry: CollectorRegistry,
    ) -> None:
        self._file = AccountFile(settings.channel_accounts_file, accounts)
        self._follows = settings.channel_accounts_file != Path()
        self._checkup = Checkup(settings, database, accounts, registry)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="accounts-file", daemon=True)

    def start(self) -> None:
        if self._follows:
            self._thread.start()
        self._checkup.start()

    def stop(self) -> None:
        self._stopped.set()
        self._checkup.stop()
        if self._follows:
            self._thread.join()

    def _follow(self) -> None:
        while True:
            try:
                self._file.follow()
            except Exception as error:  # the next round tries again
                log.error("upkeep.fault", exc_info=error)
            if self._stopped.wait(FOLLOW_S):
                return
