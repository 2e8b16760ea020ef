"""Billing periods: their steps, approvals and seals; allocation runs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tollbook.books.migrations.append_only import forbid_changes

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Create the tables, and triggers that keep them append-only."""
    op.create_table(
        "period_events",
        sa.Column("event_id", sa.Integer, primary_key=True),
        sa.Column("period", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("at_ns", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("detail", sa.Text, nullable=False),
    )
    op.create_table(
        "period_seals",
        sa.Column("seal", sa.Text, primary_key=True),
        sa.Column("period", sa.Text, nullable=False),
        sa.Column("cutoff_entry_id", sa.BigInteger, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("prepared_by", sa.Text, nullable=False),
        sa.Column("prepared_at_ns", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "period_closes",
        sa.Column("period", sa.Text, primary_key=True),
        sa.Column("seal", sa.Text, nullable=False),
        sa.Column("cutoff_entry_id", sa.BigInteger, nullable=False),
        sa.Column("timezone", sa.Text, nullable=False),
        sa.Column("mode", sa.Text, nullable=False),
        sa.Column("closed_by", sa.Text, nullable=False),
        sa.Column("closed_at_ns", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "allocation_runs",
        sa.Column("run_id", sa.Text, primary_key=True),
        sa.Column("period", sa.Text, nullable=False),
        sa.Column("sequence", sa.Integer, nullable=False),
        sa.Column("policy_id", sa.Text, nullable=False),
        sa.Column("booked", sa.Integer, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("at_ns", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("period", "sequence"),
    )
    forbid_changes(("period_events", "period_seals", "period_closes", "allocation_runs"), "is")
