"""Tables of people: accounts, sessions, tokens of programs, one-time links, and who saw what.

What opens something is kept as its SHA-256 only. Accounts, sessions and tokens are state; what was
done to them is in ``events``. ``accesses`` is append-only, and loses only what is old (the trigger
in the migration says how old), so that a retention can be kept.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, Table, Text

from tollbook.books.tables import metadata

accounts: Final = Table(
    "accounts",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("name", Text, nullable=False, unique=True),  # what one signs in with
    Column("role", Text, nullable=False),
    Column("tenant_id", Text),  # of role tenant: the only one that it sees
    Column("password_hash", Text),  # argon2id with its parameters; None: no password
    Column("issuer", Text),  # of OpenID Connect, with the subject that follows
    Column("subject", Text),
    Column("created_at_ns", BigInteger, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("disabled_at_ns", BigInteger),
)

sessions: Final = Table(
    "sessions",
    metadata,
    Column("session_sha256", Text, primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("method", Text, nullable=False),  # password, oidc, link
    Column("address", Text, nullable=False),
    Column("agent", Text, nullable=False),  # beginning of User-Agent
    Column("created_at_ns", BigInteger, nullable=False),
    Column("seen_at_ns", BigInteger, nullable=False),  # to a minute
    Column("expires_at_ns", BigInteger, nullable=False),  # whatever is done with it
    Column("ended_at_ns", BigInteger),
)

api_tokens: Final = Table(
    "api_tokens",
    metadata,
    Column("token_id", Text, primary_key=True),
    Column("label", Text, nullable=False, unique=True),
    Column("token_sha256", LargeBinary(32), nullable=False, unique=True),
    Column("permits", Text, nullable=False),  # JSON array such as ["spend:read"]
    Column("tenant_id", Text),  # the only one that it sees
    Column("created_at_ns", BigInteger, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("expires_at_ns", BigInteger),
    Column("used_at_ns", BigInteger),  # to an hour
    Column("revoked_at_ns", BigInteger),
)

one_time_links: Final = Table(
    "one_time_links",
    metadata,
    Column("link_sha256", LargeBinary(32), primary_key=True),
    Column("account_id", Text),  # whose password it sets; None: it makes the first owner
    Column("created_at_ns", BigInteger, nullable=False),
    Column("expires_at_ns", BigInteger, nullable=False),
    Column("used_at_ns", BigInteger),
)

signing_keys: Final = Table(
    "signing_keys",
    metadata,
    Column("name", Text, primary_key=True),  # what is signed with it
    Column("secret", LargeBinary, nullable=False),
    Column("created_at_ns", BigInteger, nullable=False),
)
"""Keys of this installation. Who reads the books can sign: their file is for its owner only."""

accesses: Final = Table(
    "accesses",
    metadata,
    Column("access_id", Integer, primary_key=True),
    Column("at_ns", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("kind", Text, nullable=False),  # page, api, export, sign-in, sign-out, ...
    Column("path", Text, nullable=False),
    Column("query", Text),  # its beginning; never of paths that carry secrets
    Column("query_sha256", Text),  # where only its beginning is kept
    Column("outcome", Text, nullable=False),  # ok, denied, failed, ...
    Column("status", Integer),  # of HTTP
    Column("address", Text, nullable=False),
)
