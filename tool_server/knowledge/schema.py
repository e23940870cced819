"""The catalogue's tables: what the index is made from. The migrations make them; `catalogue` reads and writes them."""

import sqlalchemy as sa

metadata = sa.MetaData()

documents = sa.Table(
    "documents",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),  # uuid5 of base and source
    sa.Column("base", sa.String(64), nullable=False),
    sa.Column("source_id", sa.String(500), nullable=False),
    sa.Column("title", sa.String(500), nullable=False),
    sa.Column("url", sa.String(1000), nullable=False, default=""),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("sequence", sa.Integer, nullable=False),  # the change that wrote it
    sa.Column("updated_at", sa.Float, nullable=False),
    sa.UniqueConstraint("base", "source_id"),
)
sa.Index("documents_sequence", documents.c.sequence)

passages = sa.Table(
    "passages",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),  # uuid5 of document and ordinal
    sa.Column("document_id", sa.String(36), sa.ForeignKey("documents.id"), nullable=False),
    sa.Column("ordinal", sa.Integer, nullable=False),
    sa.Column("heading", sa.String(500), nullable=False),
    sa.Column("text", sa.Text, nullable=False),
)
sa.Index("passages_document", passages.c.document_id, passages.c.ordinal)
