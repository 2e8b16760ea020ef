"""Versioned documents: price cards, billing rules, allocation policies and the like."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tollbook.books.migrations.append_only import forbid_changes

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create the table, and triggers that keep it append-only."""
    op.create_table(
        "documents",
        sa.Column("document_id", sa.Text, primary_key=True),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("effective_from_ns", sa.BigInteger, nullable=False),
        sa.Column("effective_until_ns", sa.BigInteger),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("created_at_ns", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("subject", "name", "version"),
    )
    forbid_changes(["documents"], "are")
