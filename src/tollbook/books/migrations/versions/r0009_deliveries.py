"""What was delivered to billing systems, and revenue that came from them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tollbook.books.migrations.append_only import forbid_changes

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Create the tables, and triggers that keep them append-only."""
    _create_revenues()
    _create_deliveries()
    forbid_changes(("revenues", "deliveries", "delivery_events"), "is")


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


def _create_deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("delivery_id", sa.Integer, primary_key=True),
        sa.Column("delivery_key", sa.Text, nullable=False, unique=True),
        sa.Column("system", sa.Text, nullable=False),
        sa.Column("document_id", sa.Text, nullable=False),
        sa.Column("meter", sa.Text, nullable=False),
        sa.Column("tenant_id", sa.Text, nullable=False),
        sa.Column("customer_id", sa.Text),
        sa.Column("bucket_ns", sa.BigInteger, nullable=False),
        sa.Column("event_ns", sa.BigInteger, nullable=False),
        sa.Column("sequence", sa.Integer, nullable=False),
        sa.Column("quantity", sa.Text, nullable=False),
        sa.Column("total", sa.Text, nullable=False),
        sa.Column("cancels", sa.Text),
        sa.Column("planned_at_ns", sa.BigInteger, nullable=False),
        sa.Column("planned_by", sa.Text, nullable=False),
        sa.UniqueConstraint("system", "meter", "tenant_id", "bucket_ns", "sequence"),
    )
    op.create_table(
        "delivery_events",
        sa.Column("event_id", sa.Integer, primary_key=True),
        sa.Column("delivery_key", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("at_ns", sa.BigInteger, nullable=False),
        sa.Column("http_status", sa.Integer),
        sa.Column("detail", sa.Text),
        sa.Column("actor", sa.Text, nullable=False),
    )
    op.create_index("delivery_events_by_key", "delivery_events", ["delivery_key"])
