"""A month of calls straight into a ledger, as fast as it appends; and the month's statements.

Reading, joining and pricing are measured by the part ``ledger``. Here it is what finance does with
calls that are there: so their rows are made as columns, a batch of the hash chain at a time.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from tollbook.chargeback.statements.model import (
    Basis,
    Category,
    Finality,
    Statement,
    StatementLine,
)
from tollbook.chargeback.statements.shelf import keep_statement
from tollbook.ledger.exact import money_from_int64
from tollbook.ledger.schema import TIME_ARROW, UUID_ARROW

if TYPE_CHECKING:
    from tollbook.books.store import Books
    from tollbook.ledger.store import Store

MONTH: Final = "2026-08"
START: Final = datetime(2026, 8, 1, tzinfo=UTC)
DAYS: Final = 31
TENANTS: Final = 2_000
BATCH: Final = 20_480
DAY_US: Final = 86_400 * 10**6
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
START_US: Final = int((START - _EPOCH).total_seconds()) * 10**6
KINDS: Final = ("uncached_input_tokens", "cache_read_tokens", "visible_output_tokens")
MODELS: Final = (
    ("openai", "gpt-4o-2024-08-06", (2_500_000, 1_250_000, 10_000_000)),
    ("openai", "gpt-4o-mini-2024-07-18", (150_000, 75_000, 600_000)),
    ("anthropic", "claude-sonnet-4-5-20250929", (3_000_000, 300_000, 15_000_000)),
    ("anthropic", "claude-haiku-4-5-20251001", (1_000_000, 100_000, 5_000_000)),
    ("azure", "gpt-4.1", (2_000_000, 500_000, 8_000_000)),
)
"""Provider, model, pico of US dollars for a token of each of :data:`KINDS`."""
BYPASS_EVERY: Final = 100
"""One call in so many is only at the provider."""

Sums = Counter[tuple[int, int, int]]
"""Tokens by day of the month, model and kind, each by its place."""


def fill(store: Store, calls: int, seed: int) -> Sums:
    """Append the calls of the month and return what the providers count."""
    draw = np.random.default_rng(seed)
    sums: Sums = Counter()
    done = 0
    while done < calls:
        rows = min(BATCH, calls - done)
        with store.transaction():
            store.append(_columns(draw, done, rows, calls, sums), rows)
        done += rows
    store.checkpoint()
    return sums


def _columns(
    draw: np.random.Generator, first: int, rows: int, calls: int, sums: Sums
) -> dict[str, Any]:
    at_us = START_US + (first + np.arange(rows, dtype=np.int64)) * (DAYS * DAY_US // calls)
    model = draw.integers(0, len(MODELS), rows)
    tenant = (draw.random(rows) ** 2 * TENANTS).astype(np.int64)
    tokens = np.stack(
        [draw.integers(low, high, rows) for low, high in ((50, 4000), (0, 2048), (20, 800))]
    )
    rates = np.array([one[2] for one in MODELS], dtype=np.int64)[model].T
    costs = rates * tokens
    _count(sums, (at_us - START_US) // DAY_US, model, tokens)
    cost = money_from_int64(costs.sum(axis=0), None)
    names = [one[1] for one in MODELS]
    columns: dict[str, Any] = {
        "kind": _same("charge", rows), "calls": pa.array(np.ones(rows, np.int32)),
        "part": pa.array(np.zeros(rows, np.int32)),
        "call_id": pa.ExtensionArray.from_storage(
            UUID_ARROW,
            pa.FixedSizeBinaryArray.from_buffers(
                pa.binary(16), rows, [None, pa.py_buffer(draw.bytes(16 * rows))]
            ),
        ),
        "called_at": pa.array(at_us).cast(TIME_ARROW),
        "tenant_id": _taken([f"tenant-{at:04}" for at in range(TENANTS)], tenant),
        "feature": _taken(["search", "chat", "summary", "agent"], draw.integers(0, 4, rows)),
        "environment": _same("production", rows),
        "provider": _taken([one[0] for one in MODELS], model),
        "model_requested": _taken(names, model),
        "model_actual": _taken(names, model),
        "operation": _same("chat", rows), "metering": _same("metered", rows),
        "status": _same("ok", rows), "usage_source": _same("reported", rows),
        "usage_complete": pa.array(np.ones(rows, np.bool_)),
        "is_billable": pa.array(np.ones(rows, np.bool_)),
        "price_state": _same("priced", rows), "cost_source": _same("card", rows),
        "price_card_id": _same("bench", rows), "cost_usd": cost, "unsplit_layer_cost_usd": cost,
        "requests": pa.array(np.ones(rows, np.int64)),
    }  # fmt: skip
    for at, kind in enumerate(KINDS):
        columns[kind] = pa.array(tokens[at])
        columns[f"{kind}_cost_usd"] = money_from_int64(costs[at], None)
    return columns


def _count(sums: Sums, day: Any, model: Any, tokens: Any) -> None:
    cells = day * len(MODELS) + model
    for kind in range(len(KINDS)):
        counted = np.bincount(cells, tokens[kind], DAYS * len(MODELS))
        for cell in np.flatnonzero(counted):
            sums[int(cell) // len(MODELS), int(cell) % len(MODELS), kind] += int(counted[cell])


def _same(text: str, rows: int) -> Any:
    return _taken([text], np.zeros(rows, np.int64))


def _taken(words: list[str], places: Any) -> Any:
    return pa.array(words).take(pa.array(places))


def state(books: Books, sums: Sums) -> dict[str, int]:
    """Keep what each provider says it used and costs, a hundredth more than the ledger has.

    Returns:
        What each provider bills for the month, in pico.
    """
    billed: Counter[str] = Counter()
    for provider in dict.fromkeys(one[0] for one in MODELS):
        lines = [
            line
            for (day, model, kind), tokens in sorted(sums.items())
            if MODELS[model][0] == provider
            for line in _lines(day, model, kind, tokens)
        ]
        for basis in (Basis.USAGE, Basis.COST):
            statement = _statement(provider, basis)
            keep_statement(
                books, statement,
                [_of(line, statement.statement_id, basis) for line in lines], b"bench",
            )  # fmt: skip
        billed[provider] = sum(line.amount or 0 for line in lines)
    return dict(billed)


def _lines(day: int, model: int, kind: int, tokens: int) -> list[StatementLine]:
    provider, name, rates = MODELS[model]
    start_ns = (START_US + day * DAY_US) * 1000
    told = [("product", tokens), ("playground", tokens // BYPASS_EVERY)]
    return [
        StatementLine(
            statement_id="", line=0, start_ns=start_ns, end_ns=start_ns + DAY_US * 1000,
            provider=provider, project=project, api_key=project, model=name, kind=KINDS[kind],
            category=Category.USAGE, quantity=count, amount=count * rates[kind],
        )
        for project, count in told
        if count
    ]  # fmt: skip


def _of(line: StatementLine, statement_id: str, basis: Basis) -> StatementLine:
    fields = {name: getattr(line, name) for name in StatementLine.__struct_fields__}
    fields["statement_id"] = statement_id
    if basis is Basis.USAGE:
        fields["amount"] = None
    return StatementLine(**fields)


def _statement(provider: str, basis: Basis) -> Statement:
    end_us = START_US + DAYS * DAY_US
    return Statement(
        statement_id=f"bench-{provider}-{basis}", provider=provider, basis=basis,
        source=f"bench.{basis}", start_ns=START_US * 1000, end_ns=end_us * 1000,
        finality=Finality.FINAL, fetched_at_ns=end_us * 1000, received_by="bench",
        raw_sha256=f"{provider}-{basis}", raw_bytes=5, lines=0,
    )  # fmt: skip
