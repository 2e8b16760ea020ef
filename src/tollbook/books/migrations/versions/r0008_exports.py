"""Exports that were made."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tollbook.books.migrations.append_only import forbid_changes

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Create the table, and triggers that keep it append-only."""
    op.create_table(
        "exports",
        sa.Column("export_id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("billing_period", sa.Text),
        sa.Column("view", sa.Text, nullable=False),
        sa.Column("created_at_ns", sa.BigInteger, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("manifest", sa.Text, nullable=False),
    )
    forbid_changes(["exports"], "are")
