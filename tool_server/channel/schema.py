"""The ledger's tables. The migrations make them; each is written by the module that its comment names."""

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
    sa.Column("from_file", sa.Boolean, nullable=False, default=False),  # kept as the file says
)

# What Dify remembers of a person in one chat; `work`.
conversations = sa.Table(
    "conversations",
    metadata,
    sa.Column("key", sa.String(320), primary_key=True),  # account, chat and user
    sa.Column("dify_id", sa.String(64), nullable=False, default=""),
    sa.Column("last_at", sa.Float, nullable=False),
    sa.Column("turns", sa.Integer, nullable=False, default=0),
    sa.Column("rights", sa.String(64), nullable=False, default=""),  # digest of the asker's rights
)

# An answer that waits for its connection needs no worker.
WAITS_FOR = (
    "CASE WHEN state IN ('received', 'asking') OR (state = 'answered' AND mode = 'push') THEN 'worker'"
    " WHEN state = 'answered' THEN 'connection' END"
)

messages = sa.Table(
    "messages",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    # Digest of what the surface tells deliveries of one message by; it stays when a person is erased.
    sa.Column("dedupe_key", sa.String(64), nullable=False, unique=True),
    sa.Column("account", sa.String(64), nullable=False),
    sa.Column("platform_id", sa.String(64), nullable=False),
    sa.Column("conversation", sa.String(320), nullable=False),
    sa.Column("user", sa.String(128), nullable=False),
    sa.Column("chat", sa.String(128), nullable=False, default=""),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("event", sa.String(32), nullable=False, default=""),
    sa.Column("question", sa.Text, nullable=False),
    sa.Column("data", sa.Text, nullable=False, default=""),
    sa.Column("media", sa.Text, nullable=False, default="[]"),  # JSON of `surface.Media`
    sa.Column("quote", sa.Text, nullable=False, default=""),
    sa.Column("handle", sa.Text, nullable=False, default=""),  # what its surface answers by
    sa.Column("sent_at", sa.Float, nullable=False, default=0.0),
    # Past its conversation's queue: a command such as /stop.
    sa.Column("urgent", sa.Boolean, nullable=False, default=False),
    # When it is served: its arrival, or a little after the message before it in its conversation, so that nobody's
    # many messages keep others waiting. 0 is at once: urgent, or to be told that we are busy.
    sa.Column("turn", sa.Float, nullable=False, default=0.0),
    # Its place in the queue when that was full: told so instead of asked for; 0 is none.
    sa.Column("busy", sa.Integer, nullable=False, default=0),
    sa.Column("stopped_at", sa.Float),  # its person wants no answer any more
    # What a stream shows so far: cumulative, grows only; `stream_id` is how the platform names it.
    sa.Column("stream_id", sa.String(64), nullable=False, default=""),
    sa.Column("stream", sa.Text, nullable=False, default=""),
    # With what it was ended for good when the answer has to be pushed; empty while it is open.
    sa.Column("stream_end", sa.Text, nullable=False, default=""),
    sa.Column("received_at", sa.Float, nullable=False),
    # received, asking, answered, done, failed, erased
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("mode", sa.String(16), nullable=False),  # open, passive, push, stream
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
    # Workers in a row that died while they held it, or fell silent.
    sa.Column("takeovers", sa.Integer, nullable=False, default=0),
    sa.Column("model_runs", sa.Integer, nullable=False, default=0),
    # Which question of its person it is that day, once it was counted; `policy`.
    sa.Column("question_number", sa.Integer, nullable=False, default=0),
    sa.Column("ticket", sa.String(64), nullable=False, default=""),
    sa.Column("dify_task", sa.String(64), nullable=False, default=""),
    sa.Column("dify_message", sa.String(64), nullable=False, default=""),
    sa.Column("dify_conversation", sa.String(64), nullable=False, default=""),
    sa.Column("dify_run", sa.String(64), nullable=False, default=""),  # of a workflow; "" elsewhere
    # A passage that not everybody may see was given out for it; written by `tickets.note_given`.
    sa.Column("restricted", sa.Boolean, nullable=False, default=False),
    sa.Column("answer", sa.Text, nullable=False, default=""),
    # Why its answer could not be delivered; it ends as `failed` though its person may have got a sentence.
    sa.Column("fault", sa.String(200), nullable=False, default=""),
    sa.Column("finished_at", sa.Float),
    # What is still to be done, and by whom; null when nothing is. Indexes hold only those, however many are done.
    sa.Column("waits_for", sa.String(16), sa.Computed(WAITS_FOR, persisted=True)),
)
for _name, _columns in (
    ("messages_queue", ("waits_for", "turn", "busy")),
    ("messages_conversation", ("conversation", "waits_for", "id", "turn", "busy")),
):
    sa.Index(
        _name,
        *(messages.c[_column] for _column in _columns),
        sqlite_where=messages.c.waits_for.is_not(None),
        postgresql_where=messages.c.waits_for.is_not(None),
    )
sa.Index("messages_person", messages.c.account, messages.c.user, messages.c.received_at)
sa.Index("messages_received", messages.c.received_at)
sa.Index("messages_platform", messages.c.platform_id, messages.c.account)
sa.Index("messages_stream", messages.c.stream_id)
sa.Index("messages_dify", messages.c.dify_message)

# Files that Dify holds for a person's next question, or for the one that took them; `attachments`.
attachments = sa.Table(
    "attachments",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("message_id", sa.Integer, sa.ForeignKey("messages.id"), nullable=False),
    sa.Column("conversation", sa.String(320), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),  # image, document, audio, video
    sa.Column("upload_id", sa.String(64), nullable=False),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("taken_by", sa.Integer, nullable=False, default=0),  # the message that asked with it
)
sa.Index("attachments_conversation", attachments.c.conversation, attachments.c.id)

deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("message_id", sa.Integer, sa.ForeignKey("messages.id"), nullable=False),
    sa.Column("ordinal", sa.Integer, nullable=False),
    sa.Column(
        "body", sa.Text, nullable=False
    ),  # the request's JSON exactly as it is sent, each time
    # pending, sent, failed; dropped: a sentence about the failure that could not be sent either
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("platform_id", sa.String(128), nullable=False, default=""),
    sa.Column("error", sa.String(200), nullable=False, default=""),
    sa.Column("sent_at", sa.Float),
    # Digest of what a tool of the app wanted sent beside the answer; empty for the answer itself; `replies`.
    sa.Column("reply", sa.String(64), nullable=False, default=""),
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

# Documents of which an answer was given passages: its conversation ends when one is closed to its person; `tickets`.
given = sa.Table(
    "given",
    metadata,
    sa.Column("message_id", sa.Integer, sa.ForeignKey("messages.id"), primary_key=True),
    sa.Column("document", sa.String(64), primary_key=True),
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
sa.Index("tickets_message", tickets.c.message_id)
sa.Index("tickets_expiry", tickets.c.expires_at)

# Who holds an account's one connection; `leaders`.
leaders = sa.Table(
    "leaders",
    metadata,
    sa.Column("account", sa.String(64), primary_key=True),
    sa.Column("owner", sa.String(128), nullable=False),
    sa.Column("lease_until", sa.Float, nullable=False),
    sa.Column("fence", sa.Integer, nullable=False, default=0),
    sa.Column("held_until", sa.Float, nullable=False, default=0.0),  # nobody connects before
    sa.Column("held_at", sa.Float, nullable=False, default=0.0),  # saved later: held no more
    sa.Column("state", sa.String(16), nullable=False, default=""),  # as `leaders.State` names it
    sa.Column("reason", sa.String(200), nullable=False, default=""),  # of the state, a sentence
    sa.Column("since", sa.Float, nullable=False, default=0.0),
)

# Workers that may lead accounts; `members`.
members = sa.Table(
    "members",
    metadata,
    sa.Column("owner", sa.String(128), primary_key=True),
    sa.Column("lease_until", sa.Float, nullable=False),
)

# How far a customer service account has been read, and whether there is more; `kf.cursors`.
cursors = sa.Table(
    "cursors",
    metadata,
    sa.Column("account", sa.String(64), primary_key=True),
    sa.Column("source", sa.String(64), primary_key=True),
    sa.Column("cursor", sa.String(256), nullable=False, default=""),
    sa.Column("token", sa.String(256), nullable=False, default=""),
    sa.Column("wanted_at", sa.Float, nullable=False, default=0.0),
    sa.Column("owner", sa.String(128), nullable=False, default=""),
    sa.Column("lease_until", sa.Float, nullable=False, default=0.0),
    sa.Column("next_at", sa.Float, nullable=False, default=0.0),
    sa.Column("read_at", sa.Float, nullable=False, default=0.0),  # all was read that was there
    sa.Column("since", sa.Float, nullable=False, default=0.0),  # older messages are not answered
)

# Customers whom a human serves, or served; `kf.sessions`.
kf_sessions = sa.Table(
    "kf_sessions",
    metadata,
    sa.Column("account", sa.String(64), primary_key=True),
    sa.Column("source", sa.String(64), primary_key=True),
    sa.Column("user", sa.String(128), primary_key=True),
    sa.Column("human", sa.Boolean, nullable=False),
    sa.Column("changed_at", sa.Float, nullable=False),
)

# Access tokens of the platform, shared by all processes, and routes that a call limit shuts; `token_shelf`.
platform_tokens = sa.Table(
    "platform_tokens",
    metadata,
    sa.Column("name", sa.String(200), primary_key=True),  # corp and digest of its secret, or route
    sa.Column("sealed", sa.Text, nullable=False, default=""),
    sa.Column("renew_at", sa.Float, nullable=False, default=0.0),
    sa.Column("expires_at", sa.Float, nullable=False, default=0.0),
    sa.Column("fetched_at", sa.Float, nullable=False, default=0.0),
    sa.Column("owner", sa.String(128), nullable=False, default=""),  # who fetches it now
    sa.Column("lease_until", sa.Float, nullable=False, default=0.0),
    sa.Column("shut_until", sa.Float, nullable=False, default=0.0),  # the breaker
    sa.Column("shut_code", sa.Integer, nullable=False, default=0),
    sa.Column("shuts", sa.Integer, nullable=False, default=0),  # in a row
)

# What the platform knows of a person, for a while; `people`. The row of nobody ("") counts the contacts' changes.
people = sa.Table(
    "people",
    metadata,
    sa.Column("account", sa.String(64), primary_key=True),
    sa.Column("user", sa.String(128), primary_key=True),
    sa.Column(
        "known", sa.Boolean, nullable=False, default=False
    ),  # False: the app sees no such person
    sa.Column("departments", sa.Text, nullable=False, default="[]"),  # JSON, with their ancestors
    sa.Column("fetched_at", sa.Float, nullable=False, default=0.0),
    sa.Column("changes", sa.Integer, nullable=False, default=0),
)

# Questions of a person on one day (local time of the server); `policy`.
usage = sa.Table(
    "usage",
    metadata,
    sa.Column("account", sa.String(64), primary_key=True),
    sa.Column("user", sa.String(128), primary_key=True),
    sa.Column("day", sa.String(10), primary_key=True),
    sa.Column("questions", sa.Integer, nullable=False, default=0),
)

# Nonces of callbacks with the hash of the body that came with them; `nonces`.
nonces = sa.Table(
    "nonces",
    metadata,
    sa.Column("nonce", sa.String(64), primary_key=True),  # digest of account, time and nonce
    sa.Column("body", sa.String(64), nullable=False),
    sa.Column("expires_at", sa.Float, nullable=False),
)
sa.Index("nonces_expiry", nonces.c.expires_at)

# Whole answers behind a random address; `pages`.
pages = sa.Table(
    "pages",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),  # digest of the address's secret
    sa.Column("message_id", sa.Integer, sa.ForeignKey("messages.id"), nullable=False),
    sa.Column("account", sa.String(64), nullable=False),
    sa.Column("user", sa.String(128), nullable=False, default=""),  # empty: whoever has the address
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("language", sa.String(8), nullable=False),
    sa.Column("expires_at", sa.Float, nullable=False),
)
sa.Index("pages_expiry", pages.c.expires_at)
sa.Index("pages_message", pages.c.message_id)

# Pictures that a finished stream carries, while the platform may come for it; `pictures`.
pictures = sa.Table(
    "pictures",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("message_id", sa.Integer, sa.ForeignKey("messages.id"), nullable=False),
    sa.Column("name", sa.String(128), nullable=False),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
    sa.Column("expires_at", sa.Float, nullable=False),
)
sa.Index("pictures_message", pictures.c.message_id, pictures.c.id)
sa.Index("pictures_expiry", pictures.c.expires_at)

# Thumbs of people, until Dify has them; `feedback`.
feedback = sa.Table(
    "feedback",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("message_id", sa.Integer, sa.ForeignKey("messages.id"), nullable=False),
    sa.Column("user", sa.String(128), nullable=False),
    sa.Column("rating", sa.String(8), nullable=False),  # like, dislike; empty takes it back
    sa.Column("reason", sa.Text, nullable=False, default=""),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),  # pending, sent, failed
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("next_at", sa.Float, nullable=False, default=0.0),
)
sa.Index("feedback_open", feedback.c.state, feedback.c.next_at)
sa.Index("feedback_message", feedback.c.message_id)

# When the platform last asked at an account's callback URL, as its console does on saving; `receive`, for `status`.
address_checks = sa.Table(
    "address_checks",
    metadata,
    sa.Column("account", sa.String(64), primary_key=True),
    sa.Column("at", sa.Float, nullable=False),
)
