"""A ledger and a provider's statements, made line by line from one list of calls."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from tollbook.books.store import open_books
from tollbook.chargeback.reconcile.run import reconcile_provider
from tollbook.chargeback.statements.model import (
    Basis,
    Category,
    Finality,
    Statement,
    StatementLine,
)
from tollbook.chargeback.statements.shelf import keep_statement, statements
from tollbook.config import Config
from tollbook.desk import Desk
from tollbook.ledger.exact import money_array
from tollbook.ledger.schema import TIME_ARROW, UUID_ARROW
from tollbook.ledger.store import LEDGER_FILE, open_store
from tollbook.money import pico_from_usd
from tollbook.reports.reader import DuckdbReader
from tollbook.usage import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tollbook.chargeback.reconcile.model import Cause, Reconciliation

IN = "uncached_input_tokens"
OUT = "visible_output_tokens"
CACHED = "cache_read_tokens"
RATES = {IN: 2_000_000, CACHED: 500_000, OUT: 8_000_000}
"""Pico for a token."""
NS = 10**9
DAY_NS = 86_400 * NS
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def ns(text: str) -> int:
    """Return a time given as ``2026-10-05T13:30``, UTC."""
    since = datetime.fromisoformat(text).replace(tzinfo=UTC) - _EPOCH
    return (since.days * 86_400 + since.seconds) * NS


class Call(NamedTuple):
    """One call; ``tokens`` None: nobody said what it used."""

    at: str
    tokens: dict[str, int] | None
    model: str = "m-large"
    tenant: str | None = "acme"
    tier: str | None = None
    usage_source: str = "reported"
    price_state: str = "priced"
    cost_factor: tuple[int, int] = (1, 1)
    """Of what the ledger books of the right price."""
    provider: str = "openai"

    def costs(self) -> dict[str, int]:
        """Return the ledger's cost by kind."""
        if self.tokens is None or self.price_state != "priced":
            return {}
        up, down = self.cost_factor
        return {kind: RATES[kind] * count * up // down for kind, count in self.tokens.items()}


class Place:
    """An open data directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = open_store(root / LEDGER_FILE, threads=1)
        self.books = open_books(root)
        self.config = Config()
        self._statements = len(statements(self.books))
        self._calls = 0

    def close(self) -> None:
        """Close every file."""
        self.books.close()
        self.store.close()

    def desk(self) -> Desk:
        """Return a desk that may write."""
        return Desk(
            reader=DuckdbReader(self.store.reader()), books=self.books, config=self.config,
            data_dir=self.root, environ={}, writer=self.store, author="ann",
        )  # fmt: skip

    def book(self, calls: Sequence[Call]) -> None:
        """Append calls to the ledger."""
        rows = len(calls)
        costs = [one.costs() for one in calls]
        whole = [
            sum(cost.values()) if one.price_state == "priced" and one.tokens is not None else None
            for one, cost in zip(calls, costs, strict=True)
        ]
        ids = [hashlib.sha256(f"{self._calls + at}".encode()).digest()[:16] for at in range(rows)]
        self._calls += rows
        columns: dict[str, Any] = {
            "kind": _text(["charge"] * rows), "calls": pa.array([1] * rows, pa.int32()),
            "part": pa.array([0] * rows, pa.int32()),
            "call_id": pa.ExtensionArray.from_storage(UUID_ARROW, pa.array(ids, pa.binary(16))),
            "called_at": pa.array([ns(one.at) // 1000 for one in calls], pa.int64()).cast(
                TIME_ARROW
            ),
            "price_state": _text([one.price_state for one in calls]),
            "cost_source": _text(["card"] * rows), "cost_usd": money_array(whole),
            "model_actual": _text([one.model for one in calls]),
            "provider": _text([one.provider for one in calls]),
            "tenant_id": _text([one.tenant for one in calls]),
            "price_tier": _text([one.tier for one in calls]),
            "usage_source": _text([
                "none" if one.tokens is None else one.usage_source for one in calls
            ]),
            "status": _text(["ok"] * rows), "metering": _text(["metered"] * rows),
        }  # fmt: skip
        for kind in KINDS:
            counts = [(one.tokens or {}).get(kind, 0) for one in calls]
            if any(counts):
                columns[kind] = pa.array(counts, pa.int64())
                columns[f"{kind}_cost_usd"] = money_array([cost.get(kind, 0) for cost in costs])
        with self.store.transaction():
            self.store.append(columns, rows)

    def state(
        self, basis: Basis, lines: Sequence[dict[str, Any]], *, provider: str = "openai",
        period: str = "2026-10", **told: Any,
    ) -> str:  # fmt: skip
        """Keep a statement of a month and return its id."""
        first = date.fromisoformat(f"{period}-01")
        after = (first + timedelta(days=31)).replace(day=1)
        start_ns, end_ns = ns(f"{first}T00:00"), ns(f"{after}T00:00")
        self._statements += 1
        raw = f"{self._statements}".encode()
        statement_id = f"st-{self._statements}"
        statement = Statement(
            statement_id=statement_id, provider=provider, basis=basis,
            source=f"test.{basis.value}", start_ns=start_ns, end_ns=end_ns,
            finality=Finality.FINAL, fetched_at_ns=end_ns + self._statements, received_by="ann",
            raw_sha256=hashlib.sha256(raw).hexdigest(), raw_bytes=len(raw), lines=len(lines),
            invoice_id="INV-1" if basis is Basis.INVOICE else None, **told,
        )  # fmt: skip
        made = [
            StatementLine(
                **({"start_ns": start_ns, "end_ns": end_ns} | line),
                statement_id=statement_id, line=at, provider=provider,
            )
            for at, line in enumerate(lines, 1)
        ]  # fmt: skip
        assert keep_statement(self.books, statement, made, raw)
        return statement_id

    def reconcile(self, provider: str = "openai", period: str = "2026-10") -> Reconciliation:
        """Reconcile a month."""
        first = datetime.fromisoformat(f"{period}-01").replace(tzinfo=UTC)
        after = (first + timedelta(days=31)).replace(day=1)
        return reconcile_provider(self.desk(), provider, first, after)


def _text(values: list[str] | list[str | None]) -> Any:
    return pa.array(values, pa.string())


def lines_of(
    calls: Sequence[Call], *, money: bool, key: str | None = None, shift_h: int = 0,
    rates: dict[str, int] | None = None,
) -> list[dict[str, Any]]:  # fmt: skip
    """Return what a provider says of calls, by day, model, kind and tier.

    Args:
        calls: as they happened there.
        money: dollars (and quantities), or quantities alone.
        key: the API key that they came with.
        shift_h: its days begin so many hours after midnight UTC.
        rates: its prices, pico for a token.
    """
    sums: dict[tuple[int, str, str, str | None], int] = defaultdict(int)
    for one in calls:
        for kind, count in (one.tokens or {}).items():
            day = (ns(one.at) - shift_h * 3600 * NS) // DAY_NS
            sums[day, one.model, kind, one.tier] += count
    prices = rates or RATES
    return [
        {
            "start_ns": day * DAY_NS, "end_ns": (day + 1) * DAY_NS, "model": model, "kind": kind,
            "tier": tier, "quantity": count, "api_key": key,
            "amount": prices[kind] * count if money else None,
        }
        for (day, model, kind, tier), count in sorted(sums.items(), key=str)
    ]  # fmt: skip


def invoice_line(usd: str, category: Category = Category.USAGE, text: str = "") -> dict[str, Any]:
    """Return one line of an invoice."""
    return {"amount": pico_from_usd(usd), "category": category, "description": text or None}


def month_of_calls(days: range = range(1, 32), *, per_day: int = 6) -> Iterator[Call]:
    """Yield a month's calls of two models and three tenants, each day unlike the others."""
    for day in days:
        for at in range(per_day):
            hour = (at * 5 + day) % 24
            yield Call(
                f"2026-10-{day:02}T{hour:02}:{at * 7 % 60:02}",
                {IN: 1000 + 37 * day + 11 * at, CACHED: 64 * at, OUT: 200 + 13 * day + at},
                model="m-large" if at % 3 else "m-small",
                tenant=("acme", "globex", None)[at % 3],
            )


def by_cause(run: Reconciliation) -> dict[Cause, int]:
    """Return the sums of a run's differences, pico."""
    sums: dict[Cause, int] = defaultdict(int)
    for one in run.differences:
        sums[one.cause] += one.amount
    return dict(sums)


def ledger_cost(place: Place, provider: str = "openai") -> int:
    """Return what the ledger has for a provider, everything included."""
    with closing(place.store.reader()) as reader:
        found = reader.execute(
            "SELECT CAST(coalesce(sum(cost_usd), 0) AS VARCHAR) FROM entries WHERE provider = ?",
            [provider],
        ).fetchone()
    assert found is not None
    return pico_from_usd(found[0])
