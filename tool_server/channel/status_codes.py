"""Codes with which an administrator opens status pages; made by `shenqiao account code` and with the admin key.

A code is good for a while, for the status pages of all accounts, and for nothing else: so it may be typed into a page
that is passed on by others, where the admin key may not. Only its digest is kept.
"""

import hashlib
import secrets
import time

import sqlalchemy as sa

from tool_server.channel.schema import nonces
from tool_server.database import Database

# No letters that are taken for one another; 16 of them are 80 bits.
ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
LETTERS, GROUP = 16, 4
LONGEST = 64


def make_code(database: Database, life_s: float) -> str:
    """A new code, such as `K7QM-3XVA-9T2H-PW5D`, that is good for `life_s` seconds."""
    letters = "".join(secrets.choice(ALPHABET) for _ in range(LETTERS))
    row = {"nonce": _digest(letters), "body": "", "expires_at": time.time() + life_s}
    database.write(lambda db: db.execute(sa.insert(nonces).values(row)))
    return "-".join(letters[at : at + GROUP] for at in range(0, LETTERS, GROUP))


def is_code(database: Database, code: str) -> bool:
    """Whether a code is one of ours and its time is not over; however it is spaced and written."""
    letters = "".join(letter for letter in code[:LONGEST].upper() if letter.isalnum())
    if len(letters) != LETTERS:
        return False
    found = sa.select(nonces.c.expires_at).where(nonces.c.nonce == _digest(letters))
    until = database.read(lambda db: db.scalar(found))
    return until is not None and until > time.time()


def _digest(letters: str) -> str:
    return hashlib.sha256(f"status/{letters}".encode()).hexdigest()
