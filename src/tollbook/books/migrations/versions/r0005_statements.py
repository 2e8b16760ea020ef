"""Statements of providers as received, and their lines."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tollbook.books.migrations.append_only import forbid_changes

revision = "0005"
down_revision = "0004"

_APPEND_ONLY = (
    "statement_raws", "statements", "statement_sightings", "statement_marks",
    "statement_watermarks",
)  # fmt: skip
_NO_MORE_LINES = """
CREATE TRIGGER statement_lines_no_insert BEFORE INSERT ON statement_lines
WHEN NEW.load_id IN (SELECT load_id FROM statements)
BEGIN SELECT RAISE(ABORT, 'the statement of these lines is kept'); END
"""
_NO_FEWER_LINES = """
CREATE TRIGGER statement_lines_no_delete BEFORE DELETE ON statement_lines
WHEN OLD.load_id IN (SELECT load_id FROM statements)
BEGIN SELECT RAISE(ABORT, 'the statement of these lines is kept'); END
"""


def upgrade() -> None:
    """Create the tables, and triggers that keep what was received as it was."""
    _create_statements()
    _create_lines()
    op.create_index("statements_by_provider", "statements", ["provider", "basis", "start_ns"])
    op.create_index("statement_lines_by_time", "statement_lines", ["load_id", "anchor_ns"])
    forbid_changes(_APPEND_ONLY, "is")
    forbid_changes(["statement_lines"], "is", ["UPDATE"])
    # Once a statement is kept its lines are all there are; what a cut-off load left may go.
    op.execute(_NO_MORE_LINES)
    op.execute(_NO_FEWER_LINES)


def _create_statements() -> None:
    op.create_table(
        "statement_raws",
        sa.Column("raw_sha256", sa.Text, primary_key=True),
        sa.Column("part", sa.Integer, primary_key=True),
        sa.Column("data", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "statements",
        sa.Column("statement_id", sa.Text, primary_key=True),
        sa.Column("load_id", sa.Text, nullable=False, unique=True),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("account", sa.Text),
        sa.Column("basis", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("scope", sa.Text),
        sa.Column("start_ns", sa.BigInteger, nullable=False),
        sa.Column("end_ns", sa.BigInteger, nullable=False),
        sa.Column("first_line_ns", sa.BigInteger),
        sa.Column("last_line_ns", sa.BigInteger),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("finality", sa.Text, nullable=False),
        sa.Column("invoice_id", sa.Text),
        sa.Column("received_by", sa.Text, nullable=False),
        sa.Column("file_name", sa.Text),
        sa.Column("raw_sha256", sa.Text, nullable=False),
        sa.Column("raw_bytes", sa.BigInteger, nullable=False),
        sa.Column("lines", sa.Integer, nullable=False),
        sa.Column("problems", sa.Text, nullable=False),
    )
    op.create_table(
        "statement_sightings",
        sa.Column("statement_id", sa.Text, primary_key=True),
        sa.Column("fetched_at_ns", sa.BigInteger, primary_key=True),
        sa.Column("received_at_ns", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "statement_marks",
        sa.Column("mark_id", sa.Integer, primary_key=True),
        sa.Column("statement_id", sa.Text, nullable=False),
        sa.Column("mark", sa.Text, nullable=False),
        sa.Column("at_ns", sa.BigInteger, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_table(
        "statement_watermarks",
        sa.Column("watermark_id", sa.Integer, primary_key=True),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("account", sa.Text),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("scope", sa.Text),
        sa.Column("until_ns", sa.BigInteger, nullable=False),
        sa.Column("at_ns", sa.BigInteger, nullable=False),
    )


def _create_lines() -> None:
    op.create_table(
        "statement_lines",
        sa.Column("load_id", sa.Text, primary_key=True),
        sa.Column("line", sa.Integer, primary_key=True),
        sa.Column("anchor_ns", sa.BigInteger, nullable=False),
        sa.Column("start_ns", sa.BigInteger, nullable=False),
        sa.Column("end_ns", sa.BigInteger, nullable=False),
        sa.Column("project", sa.Text),
        sa.Column("api_key", sa.Text),
        sa.Column("model", sa.Text),
        sa.Column("kind", sa.Text),
        sa.Column("tier", sa.Text),
        sa.Column("region", sa.Text),
        sa.Column("context_window", sa.Text),
        sa.Column("category", sa.Text, nullable=False),
        sa.Column("quantity", sa.Text),
        sa.Column("requests", sa.BigInteger),
        sa.Column("amount", sa.Text),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("amount_in_currency", sa.Text),
        sa.Column("description", sa.Text),
        sa.Column("tags", sa.Text),
    )
