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
    sa.UniqueConstraint("base", "source_id"),
)
sa.Index("documents_sequence", documents.c.sequence)

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
