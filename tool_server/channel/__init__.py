"""The WeChat channel: callbacks in, answers out, each message in a durable ledger. See `receive.py` for the way in."""
