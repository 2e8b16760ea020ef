"""Keys that sign the tokens of tenants' portals, the tokens given out, and what was revoked."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tollbook.books.migrations.append_only import forbid_changes

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Create the tables, and triggers that keep them append-only."""
    op.create_table(
        "portal_keys",
        sa.Column("kid", sa.Text, primary_key=True),
        sa.Column("secret", sa.LargeBinary(32), nullable=False),
        sa.Column("created_at_ns", sa.BigInteger, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
    )
    op.create_table(
        "portal_tokens",
        sa.Column("jti", sa.Text, primary_key=True),
        sa.Column("tenant_id", sa.Text, nullable=False),
        sa.Column("parts", sa.Text, nullable=False),
        sa.Column("kid", sa.Text, nullable=False),
        sa.Column("issued_at_ns", sa.BigInteger, nullable=False),
        sa.Column("expires_at_ns", sa.BigInteger, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
    )
    op.create_index("portal_tokens_by_expiry", "portal_tokens", ["expires_at_ns"])
    op.create_table(
        "portal_revocations",
        sa.Column("revocation_id", sa.Integer, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("at_ns", sa.BigInteger, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_index("portal_revocations_by_name", "portal_revocations", ["kind", "name"])
    forbid_changes(["portal_keys", "portal_tokens", "portal_revocations"], "are")
