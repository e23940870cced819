"""The catalogue's tables: what the index is made from. The migrations make them; `catalogue` reads and writes them."""

import sqlalchemy as sa

metadata = sa.MetaData()

bases = sa.Table(
    "bases",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("profile", sa.Text, nullable=False),  # JSON of `bases.Profile`
    sa.Column("pins", sa.Integer, nullable=False, default=0),  # counts the changes of its pins
)

documents = sa.Table(
    "documents",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),  # uuid5 of base and source
    sa.Column("base", sa.String(64), nullable=False),
    sa.Column("source_id", sa.String(500), nullable=False),
    sa.Column("title", sa.String(500), nullable=False),
    sa.Column("url", sa.String(1000), nullable=False, default=""),
    sa.Column("language", sa.String(2), nullable=False, default=""),
    sa.Column("access", sa.Text, nullable=False),  # JSON list of rights
    sa.Column("metadata", sa.Text, nullable=False, default="{}"),  # JSON, as it was given
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("sequence", sa.Integer, nullable=False),  # the change that wrote it
    sa.Column("updated_at", sa.Float, nullable=False),
    sa.Column("file_id", sa.Integer, sa.ForeignKey("files.id")),  # what it was made from
    sa.UniqueConstraint("base", "source_id"),
)
sa.Index("documents_sequence", documents.c.sequence)
sa.Index("documents_file", documents.c.file_id)

# What documents are made from: a file of a folder, an upload, a page; known by its location, whatever its source id is.
files = sa.Table(
    "files",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("base", sa.String(64), nullable=False),
    sa.Column("location", sa.Text, nullable=False),  # /absolute/path, upload:name, https://…
    sa.Column("source_id", sa.String(500), nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False, default=-1),
    sa.Column("mtime_ns", sa.BigInteger, nullable=False, default=-1),
    sa.Column("hash", sa.String(64), nullable=False, default=""),  # of its bytes; none: not read
    sa.Column("recipe", sa.String(64), nullable=False, default=""),  # how its documents were made
    sa.Column("etag", sa.Text, nullable=False, default=""),
    sa.Column("modified", sa.Text, nullable=False, default=""),  # a page's Last-Modified
    sa.Column("documents", sa.Integer, nullable=False, default=0),
    sa.Column("passages", sa.Integer, nullable=False, default=0),
    sa.Column("reason", sa.Text, nullable=False, default=""),  # why its newest version was refused
    sa.Column("updated_at", sa.Float, nullable=False, default=0.0),
    sa.UniqueConstraint("base", "location"),
    sa.UniqueConstraint("base", "source_id"),
)

# The work of ingestion. What it has done is written in the transaction that stores its documents.
jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("base", sa.String(64), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),  # folders, upload, urls
    sa.Column("request", sa.Text, nullable=False),  # JSON of `jobs.job.Request`
    sa.Column("state", sa.String(16), nullable=False),  # queued, running, done, failed, cancelled
    sa.Column("stage", sa.String(16), nullable=False, default=""),  # scanning, reading, removing
    sa.Column("scan", sa.Boolean, nullable=False, default=True),  # a retry takes its files as known
    sa.Column("owner", sa.String(100), nullable=False, default=""),
    sa.Column("cancel", sa.Boolean, nullable=False, default=False),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("stalled", sa.Integer, nullable=False, default=0),  # attempts since the last batch
    sa.Column("reason", sa.Text, nullable=False, default=""),
    sa.Column("current", sa.Text, nullable=False, default=""),  # the file that is being read
    sa.Column("files_total", sa.Integer, nullable=False, default=0),
    sa.Column("files_done", sa.Integer, nullable=False, default=0),
    sa.Column("files_refused", sa.Integer, nullable=False, default=0),
    sa.Column("documents", sa.Integer, nullable=False, default=0),
    sa.Column("changed", sa.Integer, nullable=False, default=0),
    sa.Column("withdrawn", sa.Integer, nullable=False, default=0),
    sa.Column("passages", sa.Integer, nullable=False, default=0),
    sa.Column("bytes_total", sa.BigInteger, nullable=False, default=0),
    sa.Column("bytes_done", sa.BigInteger, nullable=False, default=0),
    sa.Column("bytes_read", sa.BigInteger, nullable=False, default=0),  # without unchanged files
    sa.Column("worked_s", sa.Float, nullable=False, default=0.0),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("started_at", sa.Float),
    sa.Column("finished_at", sa.Float),
    sa.Column("heartbeat_at", sa.Float),
    sqlite_autoincrement=True,  # a number is never given twice
)
sa.Index("jobs_state", jobs.c.state)

# What became of each file of a job.
job_items = sa.Table(
    "job_items",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("job_id", sa.Integer, sa.ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    sa.Column("location", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("path", sa.Text, nullable=False, default=""),  # of an upload, below the data folder
    sa.Column("action", sa.String(16), nullable=False),  # read, move, remove
    sa.Column("file_id", sa.Integer),  # in `files`
    sa.Column("size", sa.BigInteger, nullable=False, default=0),
    # waiting, indexed, unchanged, moved, withdrawn, refused, cancelled
    sa.Column("state", sa.String(16), nullable=False, default="waiting"),
    sa.Column("reason", sa.Text, nullable=False, default=""),
    sa.Column(
        "hash", sa.String(64), nullable=False, default=""
    ),  # of the bytes that `stored` is of
    sa.Column("stored", sa.Integer, nullable=False, default=0),  # documents that are committed
    sa.Column("documents", sa.Integer, nullable=False, default=0),
    sa.Column("changed", sa.Integer, nullable=False, default=0),
    sa.Column("withdrawn", sa.Integer, nullable=False, default=0),
    sa.Column("passages", sa.Integer, nullable=False, default=0),
    sa.UniqueConstraint("job_id", "location"),
)
sa.Index("job_items_state", job_items.c.job_id, job_items.c.state, job_items.c.id)

# The metadata once more, a row for each key, in the forms that conditions compare (`values.Stored`).
document_values = sa.Table(
    "document_values",
    metadata,
    sa.Column("document_id", sa.String(36), sa.ForeignKey("documents.id"), primary_key=True),
    sa.Column("name", sa.String(100), primary_key=True),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("folded", sa.Text, nullable=False),
    sa.Column("number", sa.Float),
    sa.Column("time", sa.Float),  # seconds since 1970
    sqlite_with_rowid=False,  # so that the two indexes hold the document's id
)
sa.Index("document_values_text", document_values.c.name, document_values.c.text)
sa.Index("document_values_number", document_values.c.name, document_values.c.number)

# Of an old version the passages stay until the index has turned to the new one; `retired_at` is set then.
passages = sa.Table(
    "passages",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),  # uuid5 of document, version and ordinal
    sa.Column("document_id", sa.String(36), sa.ForeignKey("documents.id"), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("ordinal", sa.Integer, nullable=False),
    sa.Column("section", sa.Integer, nullable=False),
    sa.Column("page", sa.Integer),
    sa.Column("heading", sa.String(500), nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("retired_at", sa.Float),
)
sa.Index("passages_retired", passages.c.retired_at)
sa.Index("passages_document", passages.c.document_id, passages.c.ordinal)

# Questions with an answer that somebody wrote: they come before whatever the index finds.
pins = sa.Table(
    "pins",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("base", sa.String(64), nullable=False),
    sa.Column(
        "tokens", sa.Text, nullable=False
    ),  # of the question, sorted: the same question comes once
    sa.Column("question", sa.Text, nullable=False),
    sa.Column("answer", sa.Text, nullable=False),
    sa.Column("url", sa.String(1000), nullable=False),
    sa.Column("access", sa.Text, nullable=False),  # JSON list of rights
    sa.Column("updated_at", sa.Float, nullable=False),
    sa.UniqueConstraint("base", "tokens"),
)

# Questions that found nothing: what the knowledge lacks. Nobody's name is kept.
misses = sa.Table(
    "misses",
    metadata,
    sa.Column("base", sa.String(64), primary_key=True),  # "" for a search in all bases
    sa.Column("question", sa.Text, primary_key=True),
    sa.Column("count", sa.Integer, nullable=False),
    sa.Column("last_at", sa.Float, nullable=False),
)
sa.Index("misses_last", misses.c.last_at)
