"""The tables of the books, as SQLAlchemy Core sees them; :mod:`.migrations` creates them.

Times are integer nanoseconds since 1970-01-01 UTC. Triggers (see the migrations) keep
``price_cards`` and ``events`` append-only, and of a key let only its revocation be written.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, MetaData, Table, Text

metadata: Final = MetaData()

virtual_keys: Final = Table(
    "virtual_keys",
    metadata,
    Column("api_key_id", Text, primary_key=True),
    Column("label", Text, nullable=False, unique=True),
    Column("secret_sha256", LargeBinary(32), nullable=False, unique=True),
    Column("tenant_id", Text),
    Column("user_id", Text),
    Column("team_id", Text),
    Column("cost_center", Text),
    Column("feature", Text),
    Column("environment", Text),
    Column("models", Text, nullable=False),  # JSON array of patterns
    Column("created_at_ns", BigInteger, nullable=False),
    Column("expires_at_ns", BigInteger),
    Column("revoked_at_ns", BigInteger),
)

price_cards: Final = Table(
    "price_cards",
    metadata,
    Column("card_id", Text, primary_key=True),  # hash of the content
    Column("provider", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("effective_from_ns", BigInteger),
    Column("effective_until_ns", BigInteger),
    Column("body", Text, nullable=False),  # JSON, opaque here
    Column("first_seen_at_ns", BigInteger, nullable=False),
)

events: Final = Table(
    "events",
    metadata,
    Column("event_id", Integer, primary_key=True),
    Column("at_ns", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("detail", Text, nullable=False),  # JSON object
)

documents: Final = Table(
    "documents",
    metadata,
    Column("document_id", Text, primary_key=True),  # subject/name/version
    Column("subject", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("effective_from_ns", BigInteger, nullable=False),
    Column("effective_until_ns", BigInteger),
    Column("body", Text, nullable=False),  # JSON, opaque here
    Column("author", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("created_at_ns", BigInteger, nullable=False),
)
"""Append-only; a later version takes the place of an earlier one from its own start on."""
