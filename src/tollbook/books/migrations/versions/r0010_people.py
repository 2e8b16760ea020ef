"""Accounts, sessions, tokens of programs, the keys that sign, and who saw what."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tollbook.books.migrations.append_only import forbid_changes

revision = "0010"
down_revision = "0009"

_KEPT_S = 30 * 86_400
"""No access younger than this can be deleted, whatever the retention is set to."""


def upgrade() -> None:
    """Create the tables, and triggers that keep what was seen."""
    _create_accounts()
    _create_tokens()
    _create_accesses()


def _create_accounts() -> None:
    op.create_table(
        "accounts",
        sa.Column("account_id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("tenant_id", sa.Text),
        sa.Column("password_hash", sa.Text),
        sa.Column("issuer", sa.Text),
        sa.Column("subject", sa.Text),
        sa.Column("created_at_ns", sa.BigInteger, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("disabled_at_ns", sa.BigInteger),
        sa.UniqueConstraint("issuer", "subject"),
        sa.CheckConstraint("(role = 'tenant') = (tenant_id IS NOT NULL)"),
    )
    op.create_table(
        "sessions",
        sa.Column("session_sha256", sa.Text, primary_key=True),
        sa.Column("account_id", sa.Text, sa.ForeignKey("accounts.account_id"), nullable=False),
        sa.Column("method", sa.Text, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("agent", sa.Text, nullable=False),
        sa.Column("created_at_ns", sa.BigInteger, nullable=False),
        sa.Column("seen_at_ns", sa.BigInteger, nullable=False),
        sa.Column("expires_at_ns", sa.BigInteger, nullable=False),
        sa.Column("ended_at_ns", sa.BigInteger),
    )
    op.create_index("sessions_by_account", "sessions", ["account_id"])


def _create_tokens() -> None:
    op.create_table(
        "api_tokens",
        sa.Column("token_id", sa.Text, primary_key=True),
        sa.Column("label", sa.Text, nullable=False, unique=True),
        sa.Column("token_sha256", sa.LargeBinary(32), nullable=False, unique=True),
        sa.Column("permits", sa.Text, nullable=False),
        sa.Column("tenant_id", sa.Text),
        sa.Column("created_at_ns", sa.BigInteger, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("expires_at_ns", sa.BigInteger),
        sa.Column("used_at_ns", sa.BigInteger),
        sa.Column("revoked_at_ns", sa.BigInteger),
    )
    op.create_table(
        "one_time_links",
        sa.Column("link_sha256", sa.LargeBinary(32), primary_key=True),
        sa.Column("account_id", sa.Text, sa.ForeignKey("accounts.account_id")),
        sa.Column("created_at_ns", sa.BigInteger, nullable=False),
        sa.Column("expires_at_ns", sa.BigInteger, nullable=False),
        sa.Column("used_at_ns", sa.BigInteger),
    )
    op.create_table(
        "signing_keys",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("secret", sa.LargeBinary, nullable=False),
        sa.Column("created_at_ns", sa.BigInteger, nullable=False),
    )


def _create_accesses() -> None:
    op.create_table(
        "accesses",
        sa.Column("access_id", sa.Integer, primary_key=True),
        sa.Column("at_ns", sa.BigInteger, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("query", sa.Text),
        sa.Column("query_sha256", sa.Text),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("status", sa.Integer),
        sa.Column("address", sa.Text, nullable=False),
    )
    op.create_index("accesses_by_time", "accesses", ["at_ns"])
    op.create_index("accesses_by_actor", "accesses", ["actor", "at_ns"])
    forbid_changes(("accesses",), "are", ("UPDATE",))
    op.execute(
        "CREATE TRIGGER accesses_no_delete BEFORE DELETE ON accesses "
        f"WHEN OLD.at_ns > (CAST(strftime('%s', 'now') AS INTEGER) - {_KEPT_S}) * 1000000000 "
        "BEGIN SELECT RAISE(ABORT, 'accesses are kept for 30 days'); END"
    )
