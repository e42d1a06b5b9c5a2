"""Mail addresses of accounts, and login links."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """From 0002."""
    op.add_column("account", sa.Column("mail", sa.String(200), nullable=False, server_default=""))
    op.create_table(
        "login_link",
        sa.Column("name", sa.String(64), sa.ForeignKey("account.name", ondelete="CASCADE"), primary_key=True),
        sa.Column("digest", sa.String(64), nullable=False, unique=True),
        sa.Column("expires", sa.DateTime(timezone=True), nullable=False),
    )


def downgrade() -> None:
    """To 0002."""
    op.drop_table("login_link")
    op.drop_column("account", "mail")
