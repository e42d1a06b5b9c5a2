"""Workshops: their times, seats and guests."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """From 0005."""
    op.create_table(
        "workshop",
        sa.Column("id", sa.String(50), primary_key=True),
        sa.Column("course", sa.String(40), nullable=False),
        sa.Column("seats", sa.Integer, nullable=False),
        sa.Column("starts", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends", sa.DateTime(timezone=True), nullable=False),
        sa.Column("removes", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("removed", sa.DateTime(timezone=True)),
    )
    op.create_table(
        "workshop_seat",
        sa.Column("name", sa.String(64), sa.ForeignKey("account.name", ondelete="CASCADE"), primary_key=True),
        sa.Column("workshop", sa.String(50), sa.ForeignKey("workshop.id"), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("ready", sa.Boolean, nullable=False),
        sa.Column("retired", sa.String(200), nullable=False),
    )
    op.create_index("ix_workshop_seat_workshop", "workshop_seat", ["workshop"])
    op.create_table(
        "workshop_guest",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("workshop", sa.String(50), sa.ForeignKey("workshop.id"), nullable=False),
        sa.Column(
            "seat",
            sa.String(64),
            sa.ForeignKey("workshop_seat.name", ondelete="SET NULL"),
            unique=True,
        ),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("joined", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_workshop_guest_line", "workshop_guest", ["workshop", "joined"])


def downgrade() -> None:
    """To 0005."""
    for table in ("workshop_guest", "workshop_seat", "workshop"):
        op.drop_table(table)
