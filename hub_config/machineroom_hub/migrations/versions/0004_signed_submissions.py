"""Submissions are signed with their machines and verdicts; students may have extensions."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """From 0003."""
    op.add_column("submissions", sa.Column("signed", sa.JSON))
    op.add_column("submissions", sa.Column("signature", sa.String(64)))
    op.add_column("submissions", sa.Column("graded", MOMENT))
    op.add_column("verdicts", sa.Column("signature", sa.String(64)))
    op.create_table(
        "extensions",
        sa.Column("course", sa.String(40), primary_key=True),
        sa.Column("assignment", sa.String(60), primary_key=True),
        sa.Column("student", sa.String(255), primary_key=True),
        sa.Column("until", MOMENT, nullable=False),
        sa.Column("time", MOMENT, nullable=False),
        sa.Column("by", sa.String(255), nullable=False),
    )


def downgrade() -> None:
    """To 0003."""
    op.drop_table("extensions")
    op.drop_column("verdicts", "signature")
    for column in ("graded", "signature", "signed"):
        op.drop_column("submissions", column)
