"""Encryption of secrets at rest: keys in a file beside the database, never in it; for `accounts` and `token_shelf`.

The file holds one key a line: the first seals, all of them open. A new key is followed by every running process.
"""

from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from tool_server.files import replace_file, write_once

FILE = "secret.key"
# The newest, and the one before it: what was sealed while it was exchanged can still be opened.
KEPT = 2


class VaultError(Exception):
    """The key file does not fit the database: it was lost or exchanged."""


class Vault:
    """Seals and opens short texts with the keys of `<data_dir>/secret.key` (mode 0600)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = (0, 0)
        self._fernet = self._read()

    @classmethod
    def open(cls, data_dir: Path) -> "Vault":
        """Read the keys, or make the first one at the first start."""
        path = data_dir / FILE
        if not path.exists():
            write_once(path, Fernet.generate_key())
        return cls(path)

    def seal(self, text: str) -> str:
        return self._newest().encrypt(text.encode()).decode()

    def unseal(self, sealed: str) -> str:
        try:
            return self._newest().decrypt(sealed.encode()).decode()
        except InvalidToken:
            raise VaultError(
                f"{FILE} does not fit this database; restore both from one backup."
            ) from None

    def add_key(self) -> None:
        """From now on a new key seals. Call it once, seal everything anew, and the oldest is gone the next time."""
        keys = [Fernet.generate_key(), *self._path.read_bytes().split()]
        replace_file(self._path, b"\n".join(keys[:KEPT]))

    def _newest(self) -> MultiFernet:
        """The keys as the file holds them now."""
        if self._look() != self._stamp:
            self._fernet = self._read()
        return self._fernet

    def _read(self) -> MultiFernet:
        self._stamp = self._look()
        try:
            return MultiFernet([Fernet(key) for key in self._path.read_bytes().split()])
        except ValueError:
            raise VaultError(f"{FILE} holds no key; restore it from its backup.") from None

    def _look(self) -> tuple[int, int]:
        try:
            found = self._path.stat()
        except FileNotFoundError:  # what was read is good as long as this process lives
            return self._stamp
        return found.st_mtime_ns, found.st_ino
