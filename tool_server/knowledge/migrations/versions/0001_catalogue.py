"""The catalogue's first tables."""

from alembic import op

from tool_server.knowledge.schema import metadata

revision = "0001"
down_revision = None


def upgrade() -> None:
    # The first revision is the schema itself; from the second one on, each says what it changes.
    metadata.create_all(op.get_bind())


def downgrade() -> None:
    metadata.drop_all(op.get_bind())
