"""Which machines sleep since when, and which are kept awake until when."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """From 0004."""
    op.create_table(
        "sleep",
        sa.Column("owner", sa.String(255), primary_key=True),
        sa.Column("course", sa.String(40), primary_key=True),
        sa.Column("lab", sa.String(60), primary_key=True),
        sa.Column("machine", sa.String(31), primary_key=True),
        sa.Column("kept", sa.DateTime(timezone=True)),
        sa.Column("since", sa.DateTime(timezone=True)),
        sa.Column("slept", sa.Float, nullable=False),
    )


def downgrade() -> None:
    """To 0004."""
    op.drop_table("sleep")
