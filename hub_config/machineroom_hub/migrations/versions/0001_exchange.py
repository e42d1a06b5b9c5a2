"""Releases, submissions, verdicts, feedback, and an audit trail that can only grow."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """From an empty database."""
    op.create_table(
        "releases",
        sa.Column("course", sa.String(40), primary_key=True),
        sa.Column("assignment", sa.String(60), primary_key=True),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("time", MOMENT, nullable=False),
        sa.Column("by", sa.String(255), nullable=False),
    )
    op.create_table(
        "submissions",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("course", sa.String(40), nullable=False),
        sa.Column("assignment", sa.String(60), nullable=False),
        sa.Column("student", sa.String(255), nullable=False),
        sa.Column("timestamp", MOMENT, nullable=False),
        sa.Column("due", MOMENT),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("problem", sa.String(2000)),
    )
    op.create_index("ix_submissions_whose", "submissions", ["course", "assignment", "student", "timestamp"])
    op.create_table(
        "verdicts",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("submission", sa.String(16), sa.ForeignKey("submissions.id")),
        sa.Column("course", sa.String(40), nullable=False),
        sa.Column("assignment", sa.String(60), nullable=False),
        sa.Column("task", sa.String(255), nullable=False),
        sa.Column("student", sa.String(255), nullable=False),
        sa.Column("time", MOMENT, nullable=False),
        sa.Column("points", sa.Double, nullable=False),
        sa.Column("earned", sa.Double, nullable=False),
        sa.Column("checks", sa.String(64), nullable=False),
        sa.Column("report", sa.JSON, nullable=False),
        sa.Column("by", sa.String(255), nullable=False),
    )
    op.create_index("ix_verdicts_submission", "verdicts", ["submission"])
    op.create_index("ix_verdicts_whose", "verdicts", ["course", "assignment", "student", "time"])
    op.create_table(
        "feedback",
        sa.Column("submission", sa.String(16), sa.ForeignKey("submissions.id"), primary_key=True),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("time", MOMENT, nullable=False),
        sa.Column("by", sa.String(255), nullable=False),
    )
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("time", MOMENT, nullable=False),
        sa.Column("actor", sa.String(255), nullable=False),
        sa.Column("action", sa.String(40), nullable=False),
        sa.Column("course", sa.String(40), nullable=False),
        sa.Column("subject", sa.String(1000), nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("detail", sa.JSON, nullable=False),
    )
    op.create_index("ix_audit_course", "audit", ["course", "id"])
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION audit_only_grows() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'the audit trail only grows'; END $$"
        )
        op.execute(
            "CREATE TRIGGER audit_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON audit "
            "FOR EACH STATEMENT EXECUTE FUNCTION audit_only_grows()"
        )
    else:
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER audit_no_{verb.lower()} BEFORE {verb} ON audit "
                "BEGIN SELECT RAISE(ABORT, 'the audit trail only grows'); END"
            )


def downgrade() -> None:
    """To an empty database."""
    for table in ("audit", "feedback", "verdicts", "submissions", "releases"):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION audit_only_grows()")
