"""The tables of a ledger, and how an older file becomes a newer one.

``entries`` is append-only. NULL is unknown, never zero. Times are UTC with microseconds; money is
``DECIMAL(38,12)`` US dollars, that is, integers of 10^-12 dollars (tollbook.money).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

import pyarrow as pa

from tollbook.call import IDENTITY_FIELDS
from tollbook.layers import LAYER_COSTS, LAYER_TOKENS
from tollbook.ledger.batches_tables import BATCH_TABLES
from tollbook.ledger.late_table import LATE_TABLES
from tollbook.ledger.rollup_tables import ROLLUP_TABLES
from tollbook.ledger.stitch.tables import STITCH_TABLES
from tollbook.usage import KINDS


class Kind(StrEnum):
    """What an entry does to the sums."""

    CHARGE = "charge"
    REVERSAL = "reversal"
    ADJUSTMENT = "adjustment"


class PriceState(StrEnum):
    """Whether a call's cost is known, and why it is what it is."""

    PRICED = "priced"
    UNPRICED = "unpriced"  # no card, no usage, or a kind without a rate: cost unknown
    FREE = "free"
    CACHED = "cached"  # answered from the response cache: nothing was sent, nothing is due
    NOT_BILLED = "not_billed"  # an error before output, or never reached a provider
    UNMETERED = "unmetered"  # passed through: cost unknown


class CostSource(StrEnum):
    """Whose figure the cost of an entry is."""

    CARD = "card"  # usage times the rates of its price card
    PROVIDER = "provider"  # what the provider itself said that the call cost
    ADJUSTMENT = "adjustment"  # no call's: a true-up, a commitment, a credit, an allocation


class Column(NamedTuple):
    """A column of ``entries`` with its SQL and its Arrow type."""

    name: str
    sql: str
    arrow: pa.DataType


MONEY_SQL: Final = "DECIMAL(38,12)"
MONEY_ARROW: Final = pa.decimal128(38, 12)
TIME_ARROW: Final = pa.timestamp("us")
UUID_ARROW: Final = pa.uuid()

COST_COLUMNS: Final = tuple(f"{kind}_cost_usd" for kind in KINDS)
"""Component of the cost for each of :data:`tollbook.usage.KINDS`, in that order."""

_ARROW: Final[dict[str, pa.DataType]] = {
    "BIGINT": pa.int64(),
    "INTEGER": pa.int32(),
    "VARCHAR": pa.string(),
    "BOOLEAN": pa.bool_(),
    "TIMESTAMP": TIME_ARROW,
    "UUID": UUID_ARROW,
    MONEY_SQL: MONEY_ARROW,
}


def _columns(sql: str, *names: str) -> tuple[Column, ...]:
    return tuple(Column(name, sql, _ARROW[sql]) for name in names)


_COLUMNS_1: Final = (
    *_columns("BIGINT", "entry_id", "batch_id"),
    *_columns("VARCHAR", "kind"),
    *_columns("BIGINT", "replaces"),
    *_columns("VARCHAR", "reason"),
    *_columns("INTEGER", "calls"),
    *_columns("UUID", "call_id"),
    # 0 is the call itself; further parts are shares of it that another model or price made.
    *_columns("INTEGER", "part"),
    *_columns("VARCHAR", "part_label", "call_model"),
    *_columns("UUID", "operation_id", "retry_of", "cached_from"),
    *_columns("VARCHAR", "fallback_from", "route", "region", "asked"),
    *_columns("VARCHAR", "provider_batch_id", "custom_id"),
    *_columns("TIMESTAMP", "called_at", "booked_at"),
    *_columns("VARCHAR", *IDENTITY_FIELDS, "api_key_id", "tags", "identity_source"),
    *_columns("VARCHAR", "identity_detail", "provider", "dialect", "operation", "metering"),
    *_columns("VARCHAR", "method", "path", "model_requested", "model_actual", "service_tier"),
    *_columns("BOOLEAN", "is_stream"),
    *_columns("VARCHAR", "status"),
    *_columns("INTEGER", "http_status"),
    *_columns("VARCHAR", "error_type"),
    *_columns("INTEGER", "attempt"),
    *_columns("BIGINT", "duration_ns", "time_to_first_token_ns"),
    *_columns("VARCHAR", "provider_request_id", "provider_response_id", "idempotency_key"),
    *_columns("VARCHAR", "trace_id", "parent_span_id"),
    *_columns("VARCHAR", "usage_source", "usage_raw", "usage_problems"),
    *_columns("BIGINT", "input_chars", "output_chars", "output_events", "max_output_tokens"),
    *_columns("BIGINT", "request_bytes", "response_bytes"),
    *_columns("BOOLEAN", "usage_complete", "is_billable"),
    *_columns("BIGINT", *KINDS),
    *_columns("VARCHAR", "price_state", "price_tier", "price_card_id", "price_flags"),
    *_columns("VARCHAR", "cost_source"),
    *_columns(MONEY_SQL, "reported_cost_usd", "saved_cost_usd", "cost_usd", *COST_COLUMNS),
    *_columns("VARCHAR", "spool_writer"),
    *_columns("INTEGER", "spool_segment"),
    *_columns("BIGINT", "spool_offset"),
    *_columns("VARCHAR", "gateway_version"),
)
_COLUMNS_2: Final = (
    # who saw the call (NULL: the gateway), and everybody who did, as a JSON array
    *_columns("VARCHAR", "observer", "observed_by", "span_id", "call_site"),
    *_columns("VARCHAR", "layer_weights", "prefix_hash"),
    *_columns("BIGINT", "prefix_chars", *LAYER_TOKENS),
    *_columns(MONEY_SQL, *LAYER_COSTS),
)
_COLUMNS_3: Final = (
    # what an adjustment is, the run that booked it, and what it rests on; NULL for calls
    *_columns(
        "VARCHAR", "adjustment", "adjustment_id", "billing_period", "statement_id", "corrects"
    ),
    # the second price of a call: what its tenant is charged, by which version of which rule
    *_columns("VARCHAR", "billing_rule_id", "billing_flags"),
    *_columns(MONEY_SQL, "billable_usd"),
)
ENTRY_COLUMNS: Final = (*_COLUMNS_1, *_COLUMNS_2, *_COLUMNS_3)
ENTRY_NAMES: Final = tuple(column.name for column in ENTRY_COLUMNS)
NAMES_BY_VERSION: Final = (
    (),
    tuple(column.name for column in _COLUMNS_1),
    tuple(column.name for column in (*_COLUMNS_1, *_COLUMNS_2)),
    ENTRY_NAMES,
    ENTRY_NAMES,
)
"""The columns that the hash of a batch covers, by the schema version it was booked under."""
ENTRY_SCHEMA: Final = pa.schema([(column.name, column.arrow) for column in ENTRY_COLUMNS])

_NEVER_NULL: Final = frozenset(
    ["entry_id", "batch_id", "kind", "calls", "call_id", "called_at", "booked_at", "price_state"]
)


def _entries_ddl() -> str:
    lines = [
        f"{column.name} {column.sql}" + (" NOT NULL" if column.name in _NEVER_NULL else "")
        for column in _COLUMNS_1
    ]
    return "CREATE TABLE entries (" + ", ".join(lines) + ")"


_VERSION_1: Final = (
    _entries_ddl(),
    # schema_version says which columns the hash covers
    f"""CREATE TABLE batches (
        batch_id BIGINT NOT NULL, booked_at TIMESTAMP NOT NULL, schema_version INTEGER NOT NULL,
        first_entry_id BIGINT NOT NULL, last_entry_id BIGINT NOT NULL, rows BIGINT NOT NULL,
        cost_usd {MONEY_SQL} NOT NULL, previous_hash VARCHAR NOT NULL, hash VARCHAR NOT NULL)""",
    """CREATE TABLE spool_positions (
        writer VARCHAR PRIMARY KEY, segment INTEGER NOT NULL, "offset" BIGINT NOT NULL,
        version VARCHAR, updated_at TIMESTAMP NOT NULL, state VARCHAR NOT NULL,
        last_frame_at TIMESTAMP)""",
    """CREATE TABLE open_calls (
        writer VARCHAR NOT NULL, call_id UUID NOT NULL, frame BLOB NOT NULL,
        segment INTEGER NOT NULL, "offset" BIGINT NOT NULL)""",
    """CREATE TABLE incidents (
        "at" TIMESTAMP NOT NULL, kind VARCHAR NOT NULL, writer VARCHAR, detail VARCHAR NOT NULL)""",
    "CREATE TABLE progress (complete_until TIMESTAMP, updated_at TIMESTAMP NOT NULL)",
    *BATCH_TABLES,
    *LATE_TABLES,
)

_VERSION_2: Final = (
    *(f"ALTER TABLE entries ADD COLUMN {column.name} {column.sql}" for column in _COLUMNS_2),
    *STITCH_TABLES,
)

_VERSION_3: Final = tuple(
    f"ALTER TABLE entries ADD COLUMN {column.name} {column.sql}" for column in _COLUMNS_3
)

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    _VERSION_1,
    _VERSION_2,
    _VERSION_3,
    ROLLUP_TABLES,
)
"""Statements that lead from version n (its index) to n + 1; never changed once released."""

SCHEMA_VERSION: Final = len(MIGRATIONS)
VERSION_DDL: Final = (
    "CREATE TABLE IF NOT EXISTS schema_version ("
    "version INTEGER NOT NULL, applied_at TIMESTAMP NOT NULL, tollbook_version VARCHAR NOT NULL)"
)
