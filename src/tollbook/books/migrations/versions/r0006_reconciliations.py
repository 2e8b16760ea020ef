"""Reconciliations, the differences they found, and what became of those."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tollbook.books.migrations.append_only import forbid_changes

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Create the tables, and triggers that keep them append-only."""
    op.create_table(
        "reconciliations",
        sa.Column("run_id", sa.Text, primary_key=True),
        sa.Column("number", sa.Integer, nullable=False, unique=True),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("period", sa.Text, nullable=False),
        sa.Column("created_at_ns", sa.BigInteger, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_index("reconciliations_by_period", "reconciliations", ["period", "provider"])
    op.create_table(
        "differences",
        sa.Column("run_id", sa.Text, sa.ForeignKey("reconciliations.run_id"), nullable=False),
        sa.Column("place", sa.Integer, nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("cause", sa.Text, nullable=False),
        sa.Column("amount_pico", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("run_id", "place"),
    )
    op.create_index("differences_by_fingerprint", "differences", ["fingerprint"])
    op.create_table(
        "difference_remarks",
        sa.Column("remark_id", sa.Integer, primary_key=True),
        sa.Column("about", sa.Text, nullable=False),
        sa.Column("at_ns", sa.BigInteger, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("state", sa.Text),
        sa.Column("owner", sa.Text),
        sa.Column("note", sa.Text),
    )
    op.create_index("difference_remarks_by_subject", "difference_remarks", ["about"])
    forbid_changes(("reconciliations", "differences", "difference_remarks"), "are")
