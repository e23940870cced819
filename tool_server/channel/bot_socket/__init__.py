"""Long connections of AI bots: `connections` (what `worker` uses) → `tender` (which accounts this worker leads)
→ `line` (one account, over reconnects) → `connection` (the wire).

What comes in goes through `inbox` into the ledger; `screen` shows answers while they grow, `upload` brings files.
"""
