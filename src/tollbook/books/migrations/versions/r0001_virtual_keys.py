"""Virtual keys."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_BINDING = (
    "api_key_id, label, secret_sha256, tenant_id, user_id, team_id, cost_center, feature,"
    " environment, models, created_at_ns, expires_at_ns"
)


def upgrade() -> None:
    """Create the table, and triggers that keep what a key was bound to."""
    op.create_table(
        "virtual_keys",
        sa.Column("api_key_id", sa.Text, primary_key=True),
        sa.Column("label", sa.Text, nullable=False, unique=True),
        sa.Column("secret_sha256", sa.LargeBinary(32), nullable=False, unique=True),
        sa.Column("tenant_id", sa.Text),
        sa.Column("user_id", sa.Text),
        sa.Column("team_id", sa.Text),
        sa.Column("cost_center", sa.Text),
        sa.Column("feature", sa.Text),
        sa.Column("environment", sa.Text),
        sa.Column("models", sa.Text, nullable=False),
        sa.Column("created_at_ns", sa.BigInteger, nullable=False),
        sa.Column("expires_at_ns", sa.BigInteger),
        sa.Column("revoked_at_ns", sa.BigInteger),
    )
    op.execute(
        f"CREATE TRIGGER virtual_keys_binding BEFORE UPDATE OF {_BINDING} ON virtual_keys "
        "BEGIN SELECT RAISE(ABORT, 'a key keeps its binding: revoke it and create another'); END"
    )
    op.execute(
        "CREATE TRIGGER virtual_keys_revoked BEFORE UPDATE OF revoked_at_ns ON virtual_keys "
        "WHEN OLD.revoked_at_ns IS NOT NULL "
        "BEGIN SELECT RAISE(ABORT, 'a revoked key stays revoked'); END"
    )
    op.execute(
        "CREATE TRIGGER virtual_keys_no_delete BEFORE DELETE ON virtual_keys "
        "BEGIN SELECT RAISE(ABORT, 'keys are revoked, not deleted'); END"
    )
