"""Accounts and enrolments."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """From 0001."""
    op.create_table(
        "account",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("display_name", sa.String(200), nullable=False),
        sa.Column("password_hash", sa.String(200), nullable=False),
        sa.Column("active", sa.Boolean, nullable=False),
        sa.Column("operator", sa.Boolean, nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "enrolment",
        sa.Column("name", sa.String(64), sa.ForeignKey("account.name", ondelete="CASCADE"), primary_key=True),
        sa.Column("course", sa.String(40), primary_key=True),
        sa.Column("role", sa.String(10), nullable=False),
    )


def downgrade() -> None:
    """To 0001."""
    op.drop_table("enrolment")
    op.drop_table("account")
