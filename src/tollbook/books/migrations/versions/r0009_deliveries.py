"""What was delivered to billing systems, and revenue that came from them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Create the tables, and triggers that keep them append-only."""
    _create_revenues()
    for table in ("revenues",):
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )


def _create_revenues() -> None:
    op.create_table(
        "revenues",
        sa.Column("revenue_id", sa.Integer, primary_key=True),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("line_id", sa.Text, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("document_id", sa.Text, nullable=False),
        sa.Column("category", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("customer_id", sa.Text),
        sa.Column("tenant_id", sa.Text),
        sa.Column("plan", sa.Text),
        sa.Column("feature", sa.Text),
        sa.Column("issued_at_ns", sa.BigInteger, nullable=False),
        sa.Column("start_ns", sa.BigInteger, nullable=False),
        sa.Column("end_ns", sa.BigInteger, nullable=False),
        sa.Column("amount", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("description", sa.Text),
        sa.Column("content_sha256", sa.Text, nullable=False),
        sa.Column("imported_at_ns", sa.BigInteger, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.UniqueConstraint("source", "line_id", "revision"),
    )
    op.create_index("revenues_by_time", "revenues", ["end_ns", "start_ns"])
