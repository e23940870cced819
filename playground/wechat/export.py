"""The platform's side of a reconciliation as JSON lines: what was written, delivered and shown; for `control`."""

import json
from collections.abc import Iterator

from playground.wechat.ledger import Ledger


def lines(ledger: Ledger) -> Iterator[str]:
    """One object a line: `what` is written, delivered or shown; times are seconds since 1970."""
    for entry in ledger.bubbles():
        written = entry["source"] == "user"
        yield _line(
            what="written" if written else "shown",
            id=entry["msg_id"],
            user=entry["user"],
            at=entry["at"],
            how=entry["source"],
        )
    for delivery in ledger.deliveries():
        yield _line(
            what="delivered",
            id=delivery["msg_id"],
            at=delivery["started_at"],
            how=delivery["outcome"],
            taken=delivery["outcome"] not in ("cut", "failed"),
        )


def _line(**values: object) -> str:
    return json.dumps(values, ensure_ascii=False) + "\n"
