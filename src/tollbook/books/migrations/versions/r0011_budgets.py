"""Top-ups of budgets."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tollbook.books.migrations.append_only import forbid_changes

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Create the table, and triggers that keep it append-only."""
    op.create_table(
        "budget_top_ups",
        sa.Column("top_up_id", sa.Integer, primary_key=True),
        sa.Column("budget", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("unit", sa.Text, nullable=False),
        sa.Column("amount", sa.Text, nullable=False),
        sa.Column("expires_at_ns", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("created_at_ns", sa.BigInteger, nullable=False),
    )
    op.create_index("budget_top_ups_by_end", "budget_top_ups", ["expires_at_ns"])
    forbid_changes(("budget_top_ups",), "are")
