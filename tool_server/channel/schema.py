"""The ledger's tables. The migrations make them; `ledger`, `work`, `accounts` and `tickets` read and write them."""

import sqlalchemy as sa

metadata = sa.MetaData()

accounts = sa.Table(
    "accounts",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("surface", sa.String(32), nullable=False),
    sa.Column("config", sa.Text, nullable=False),  # JSON; the secrets in it are sealed by the vault
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("updated_at", sa.Float, nullable=False),
)

conversations = sa.Table(
    "conversations",
    metadata,
    sa.Column("key", sa.String(200), primary_key=True),  # account, chat and user
    sa.Column("dify_id", sa.String(64), nullable=False, default=""),
    sa.Column("last_at", sa.Float, nullable=False),
)

messages = sa.Table(
    "messages",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("dedupe_key", sa.String(200), nullable=False, unique=True),
    sa.Column("account", sa.String(64), nullable=False),
    sa.Column("platform_id", sa.String(64), nullable=False),
    sa.Column("conversation", sa.String(200), nullable=False),
    sa.Column("user", sa.String(128), nullable=False),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("question", sa.Text, nullable=False),
    sa.Column("received_at", sa.Float, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),  # received, asking, answered, done, failed
    sa.Column("mode", sa.String(16), nullable=False),  # open, passive, push
    sa.Column(
        "connections", sa.Integer, nullable=False
    ),  # deliveries so far; the newest carries the answer
    sa.Column(
        "wait_until", sa.Float, nullable=False
    ),  # a connection waits for the answer until then
    sa.Column("reply", sa.LargeBinary),  # the passive reply's bytes, the same for every delivery
    sa.Column("fetched_at", sa.Float),
    sa.Column("owner", sa.String(128), nullable=False, default=""),
    sa.Column("lease_until", sa.Float, nullable=False, default=0.0),
    sa.Column("fence", sa.Integer, nullable=False, default=0),
    sa.Column("next_at", sa.Float, nullable=False, default=0.0),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("model_runs", sa.Integer, nullable=False, default=0),
    sa.Column("ticket", sa.String(64), nullable=False, default=""),
    sa.Column("dify_task", sa.String(64), nullable=False, default=""),
    sa.Column("dify_message", sa.String(64), nullable=False, default=""),
    sa.Column("dify_conversation", sa.String(64), nullable=False, default=""),
    sa.Column("answer", sa.Text, nullable=False, default=""),
    sa.Column("finished_at", sa.Float),
)
sa.Index("messages_open", messages.c.state, messages.c.next_at)
sa.Index("messages_conversation", messages.c.conversation, messages.c.id)
sa.Index("messages_platform", messages.c.account, messages.c.platform_id)

deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("message_id", sa.Integer, sa.ForeignKey("messages.id"), nullable=False),
    sa.Column("ordinal", sa.Integer, nullable=False),
    sa.Column(
        "body", sa.Text, nullable=False
    ),  # the request's JSON exactly as it is sent, each time
    sa.Column("state", sa.String(16), nullable=False),  # pending, sent, failed
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("platform_id", sa.String(128), nullable=False, default=""),
    sa.Column("error", sa.String(200), nullable=False, default=""),
    sa.Column("sent_at", sa.Float),
    sa.UniqueConstraint("message_id", "ordinal"),
)

tickets = sa.Table(
    "tickets",
    metadata,
    sa.Column("ticket", sa.String(64), primary_key=True),
    sa.Column("message_id", sa.Integer, sa.ForeignKey("messages.id"), nullable=False),
    sa.Column("asker", sa.Text, nullable=False),  # JSON of `access.Asker`
    sa.Column("expires_at", sa.Float, nullable=False),
    sa.Column("app", sa.String(64), nullable=False, default=""),
    sa.Column("conversation", sa.String(64), nullable=False, default=""),
)

events = sa.Table(
    "events",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("message_id", sa.Integer, sa.ForeignKey("messages.id"), nullable=False),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("name", sa.String(64), nullable=False),
    sa.Column("data", sa.Text, nullable=False, default="{}"),
)
sa.Index("events_message", events.c.message_id, events.c.id)
