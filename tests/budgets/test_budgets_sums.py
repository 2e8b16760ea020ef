"""What the ledger has and no gateway has counted, in pieces that fit the windows of any zone."""

from __future__ import annotations

from typing import Any

import duckdb

from tollbook.ledger.budgetsums import not_settled_after
from tollbook.usage import TOKEN_KINDS

COLUMNS = (
    "tenant_id", "user_id", "team_id", "feature", "workflow_id", "agent_run_id", "environment",
    "api_key_id", "model_requested", "provider", "status", "metering", "price_state", "kind",
    "provider_batch_id",
)  # fmt: skip


def test_a_call_counts_in_its_quarter_of_an_hour() -> None:
    connection = duckdb.connect()
    texts = ", ".join(f"{name} VARCHAR" for name in COLUMNS)
    kinds = ", ".join(f"{name} BIGINT" for name in TOKEN_KINDS)
    connection.execute(
        f"CREATE TABLE entries (entry_id BIGINT, called_at TIMESTAMP, replaces BIGINT, {texts},"
        " observer VARCHAR, spool_writer VARCHAR,"
        f" {kinds}, calls BIGINT, cost_usd DECIMAL(38, 12))"
    )
    # Midnight in Kolkata is 18:30 UTC.
    for entry_id, at in enumerate(("18:29:59.999999", "18:30:00", "18:44:59.6", "18:45:00"), 1):
        connection.execute(
            "INSERT INTO entries (entry_id, called_at, tenant_id, status, metering, kind, calls,"
            " cost_usd, price_state) VALUES (?, ?, 'acme', 'interrupted', 'metered', 'charge', 1,"
            " 0.5, 'priced')",
            [entry_id, f"1970-01-01 {at}"],
        )

    def fetch(query: str, values: Any) -> list[tuple[Any, ...]]:
        return connection.execute(query, values).fetchall()

    found = sorted((one.at_s, one.requests, one.pico) for one in not_settled_after(fetch, 0))
    half = 5 * 10**11
    evening = 18 * 3600
    assert found == [
        (evening + 900, 1, half), (evening + 1800, 2, 2 * half), (evening + 2700, 1, half),
    ]  # fmt: skip
    assert len(list(not_settled_after(fetch, 3))) == 1
