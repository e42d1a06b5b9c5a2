"""Hands that are up, and what students were told."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """From 0006."""
    op.create_table(
        "hands",
        sa.Column("course", sa.String(40), primary_key=True),
        sa.Column("student", sa.String(255), primary_key=True),
        sa.Column("sentence", sa.String(300), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("coming", sa.String(255)),
    )
    op.create_table(
        "messages",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("course", sa.String(40), nullable=False),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.String(255), nullable=False),
        sa.Column("text", sa.String(2000), nullable=False),
    )
    op.create_table(
        "addressees",
        sa.Column("student", sa.String(255), primary_key=True),
        sa.Column("message", sa.Integer, sa.ForeignKey("messages.id"), primary_key=True),
    )


def downgrade() -> None:
    """To 0006."""
    for table in ("addressees", "messages", "hands"):
        op.drop_table(table)
