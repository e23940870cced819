"""Encryption of secrets at rest: one key in a file beside the database, never in it; called by `accounts`."""

from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken

from tool_server.files import write_once


class VaultError(Exception):
    """The key file does not fit the database: it was lost or exchanged."""


class Vault:
    """Seals and opens short texts with the key of `<data_dir>/secret.key` (mode 0600)."""

    def __init__(self, key: bytes) -> None:
        self._fernet = Fernet(key)

    @classmethod
    def open(cls, data_dir: Path) -> "Vault":
        """Read the key, or make it at the first start."""
        path = data_dir / "secret.key"
        if not path.exists():
            write_once(path, Fernet.generate_key())
        return cls(path.read_bytes())

    def seal(self, text: str) -> str:
        return self._fernet.encrypt(text.encode()).decode()

    def unseal(self, sealed: str) -> str:
        try:
            return self._fernet.decrypt(sealed.encode()).decode()
        except InvalidToken:
            raise VaultError(
                "secret.key does not fit this database; restore both from one backup."
            ) from None
