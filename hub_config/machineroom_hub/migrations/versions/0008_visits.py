"""Who looked on at whose terminal, and whether they were let type."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """From 0007."""
    op.create_table(
        "visits",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("course", sa.String(40), nullable=False),
        sa.Column("student", sa.String(255), nullable=False),
        sa.Column("by", sa.String(255), nullable=False),
        sa.Column("terminal", sa.String(100), nullable=False),
        sa.Column("began", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended", sa.DateTime(timezone=True)),
        sa.Column("typed", sa.Boolean, nullable=False),
    )
    op.create_index("ix_visits_whose", "visits", ["student", "course"])


def downgrade() -> None:
    """To 0007."""
    op.drop_table("visits")
