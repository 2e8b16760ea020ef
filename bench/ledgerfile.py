"""A ledger of five million calls in one month, made by SQL into the real schema, kept in .cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench import machine
from tollbook.ledger.schema import COST_COLUMNS, ENTRY_NAMES, SCHEMA_VERSION
from tollbook.ledger.store import open_store

if TYPE_CHECKING:
    from pathlib import Path

CALLS = 5_000_000
SINCE, UNTIL = "2026-11-01T00:00:00+00:00", "2026-12-01T00:00:00+00:00"
_MONTH_S = 30 * 86_400
_BATCH = 1_000_000
_CACHE = machine.ROOT / "bench" / ".cache"
_MODELS = (
    "gpt-4o-mini-2024-07-18", "gpt-4o-2024-08-06", "gpt-4.1-2025-04-14", "o3-2025-04-16",
    "gpt-5-2025-08-07", "gpt-5-mini-2025-08-07", "text-embedding-3-small",
    "claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001", "claude-opus-4-1-20250805",
)  # fmt: skip
_OPENAI_MODELS = 7
_TENANTS = 200
_USAGE = (
    '{{"prompt_tokens":{0},"completion_tokens":{1},"total_tokens":{2},'
    '"prompt_tokens_details":{{"cached_tokens":{3},"audio_tokens":0}}}}'
)
# Skew: a square of a uniform number gives the first 5 % of the tenants 22 % of the calls, and their
# calls are larger. 1 % of the calls have no tenant, 0.5 % no price, 1 % are estimated.
_DRAWN = f"""
SELECT i, random() AS a, random() AS b, random() AS c, random() AS d,
  CAST(floor(pow(random(), 2) * {_TENANTS}) AS INTEGER) AS tenant,
  CAST(floor(pow(random(), 1.5) * {len(_MODELS)}) AS INTEGER) AS model
FROM range(?, ?) AS numbers(i)"""
_COUNTED = f"""
SELECT *, CAST(200 + 3000 * a * a AS BIGINT) AS uncached,
  CASE WHEN b < 0.4 THEN CAST(1024 * floor(1 + 4 * c) AS BIGINT) ELSE 0 END AS cached,
  CAST(20 + 600 * d * d AS BIGINT) AS written,
  {list(_MODELS)}[model + 1] AS model_name, d < 0.005 AS is_unpriced, c < 0.01 AS is_estimated
FROM ({_DRAWN})"""
_VALUES = {
    "entry_id": "i + 1",
    "batch_id": f"i // {_BATCH} + 1",
    "kind": "'charge'",
    "calls": "1",
    "call_id": "uuid()",
    "called_at": f"TIMESTAMP '2026-11-01' + to_microseconds(i * {_MONTH_S * 1_000_000 // CALLS})",
    "booked_at": "TIMESTAMP '2026-11-01' + to_microseconds("
    f"i * {_MONTH_S * 1_000_000 // CALLS} + 2000000)",
    "tenant_id": "CASE WHEN a >= 0.01 THEN 'tenant-' || tenant END",
    "user_id": "'user-' || CAST(floor(a * 50000) AS INTEGER)",
    "feature": "['search', 'chat', 'summary', 'agent', 'import']"
    "[CAST(floor(b * 5) AS INTEGER) + 1]",
    "environment": "'production'",
    "identity_source": "CASE WHEN a >= 0.01 THEN 'baggage' END",
    "provider": f"CASE WHEN model < {_OPENAI_MODELS} THEN 'openai' ELSE 'anthropic' END",
    "dialect": f"CASE WHEN model < {_OPENAI_MODELS} THEN 'openai' ELSE 'anthropic' END",
    "operation": "'chat'",
    "metering": "'metered'",
    "method": "'POST'",
    "path": "'/v1/chat/completions'",
    "model_requested": "model_name",
    "model_actual": "model_name",
    "is_stream": "b < 0.5",
    "status": "'ok'",
    "http_status": "200",
    "attempt": "1",
    "duration_ns": "CAST(1e9 * (0.3 + 5 * d) AS BIGINT)",
    "time_to_first_token_ns": "CAST(1e9 * (0.2 + a) AS BIGINT)",
    "provider_response_id": "'chatcmpl-' || hash(i)",
    "provider_request_id": "'req_' || hash(i + 1)",
    "usage_source": "CASE WHEN is_estimated THEN 'estimated' ELSE 'reported' END",
    "usage_raw": "format('" + _USAGE + "', uncached + cached, written,"
    " uncached + cached + written, cached)",
    "input_chars": "4 * (uncached + cached)",
    "output_chars": "4 * written",
    "output_events": "written",
    "request_bytes": "5 * (uncached + cached)",
    "response_bytes": "6 * written",
    "usage_complete": "NOT is_estimated",
    "is_billable": "TRUE",
    "uncached_input_tokens": "uncached",
    "cache_read_tokens": "cached",
    "visible_output_tokens": "written",
    "requests": "1",
    "price_state": "CASE WHEN is_unpriced THEN 'unpriced' ELSE 'priced' END",
    "price_card_id": "CASE WHEN NOT is_unpriced THEN 'list:' || model_name END",
    "cost_usd": "CASE WHEN NOT is_unpriced THEN"
    " CAST(uncached * 150000 + cached * 75000 + written * 600000 AS DECIMAL(38,12))"
    " * 0.000000000001 END",
    "uncached_input_tokens_cost_usd": "CASE WHEN NOT is_unpriced THEN"
    " CAST(uncached * 150000 AS DECIMAL(38,12)) * 0.000000000001 END",
    "cache_read_tokens_cost_usd": "CASE WHEN NOT is_unpriced THEN"
    " CAST(cached * 75000 AS DECIMAL(38,12)) * 0.000000000001 END",
    "visible_output_tokens_cost_usd": "CASE WHEN NOT is_unpriced THEN"
    " CAST(written * 600000 AS DECIMAL(38,12)) * 0.000000000001 END",
    "spool_writer": "'gateway-0-1-1'",
    "spool_segment": "i // 100000",
    "spool_offset": "i * 400",
    "gateway_version": "'0.1.0'",
}


def ledger_file() -> Path:
    """Return the ledger of five million calls, made on the first call (about a minute)."""
    path = _CACHE / f"five-million-v{SCHEMA_VERSION}.duckdb"
    if path.exists():
        return path
    _CACHE.mkdir(parents=True, exist_ok=True)
    building = path.with_suffix(".building")
    building.unlink(missing_ok=True)
    amounts = [name.removesuffix("_cost_usd") for name in COST_COLUMNS]
    known = dict.fromkeys((*COST_COLUMNS, *amounts), "0") | _VALUES
    values = {name: known[name] for name in ENTRY_NAMES if name in known}
    insert = (
        f"INSERT INTO entries ({', '.join(values)}) "
        f"SELECT {', '.join(values.values())} FROM ({_COUNTED})"
    )
    with open_store(building, memory_limit="4GB") as store:
        with store.transaction() as connection:
            connection.execute("SET enable_progress_bar = false")
            connection.execute("SELECT setseed(0.42)")
        for first in range(0, CALLS, _BATCH):
            with store.transaction() as connection:
                connection.execute(insert, [first, min(first + _BATCH, CALLS)])
        with store.transaction() as connection:
            connection.execute(
                "INSERT INTO progress VALUES (TIMESTAMP '2026-12-01', TIMESTAMP '2026-12-01')"
            )
        store.checkpoint()
    building.rename(path)
    return path
