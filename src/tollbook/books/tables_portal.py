"""The tables of portals' keys, tokens and revocations; see migration 0013. Append-only."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, Table, Text

from tollbook.books.tables import metadata

portal_keys: Final = Table(
    "portal_keys",
    metadata,
    Column("kid", Text, primary_key=True),
    # An HMAC key is needed as it is to check a signature, so it cannot be kept as a digest; the
    # file of the books is its owner's only.
    Column("secret", LargeBinary(32), nullable=False),
    Column("created_at_ns", BigInteger, nullable=False),
    Column("author", Text, nullable=False),
)
"""The newest signs; one before it is good for as long as a token may last after that."""

portal_tokens: Final = Table(
    "portal_tokens",
    metadata,
    Column("jti", Text, primary_key=True),
    Column("tenant_id", Text, nullable=False),
    Column("parts", Text, nullable=False),  # JSON array of words
    Column("kid", Text, nullable=False),
    Column("issued_at_ns", BigInteger, nullable=False),
    Column("expires_at_ns", BigInteger, nullable=False),
    Column("author", Text, nullable=False),
)
"""What was given out, without the tokens themselves."""

portal_revocations: Final = Table(
    "portal_revocations",
    metadata,
    Column("revocation_id", Integer, primary_key=True),
    Column("kind", Text, nullable=False),  # token, tenant, key
    Column("name", Text, nullable=False),  # jti, tenant id, kid
    Column("at_ns", BigInteger, nullable=False),
    Column("author", Text, nullable=False),
    Column("reason", Text, nullable=False),
)
"""A token; all tokens of a tenant that were issued until then; all tokens of a key."""
