"""What is booked, as budgets count it: by owner in a window, or what no gateway has settled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook.budgets.rules import UNKNOWN
from tollbook.budgets.seed import Booked
from tollbook.money import pico_from_usd
from tollbook.usage import TOKEN_KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tollbook.budgets.rules import Rule
    from tollbook.budgets.window import Span

    Fetch = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]

COLUMNS: Final = {
    "tenant": "tenant_id", "user": "user_id", "team": "team_id", "feature": "feature",
    "workflow": "workflow_id", "agent_run": "agent_run_id", "environment": "environment",
    "api_key": "api_key_id", "model": "model_requested", "provider": "provider",
}  # fmt: skip
_SUMS: Final = (
    "coalesce(sum(cost_usd), 0)",
    "coalesce(sum(" + " + ".join(f"coalesce({kind}, 0)" for kind in TOKEN_KINDS) + "), 0)",
    "coalesce(sum(calls), 0)",
    "coalesce(sum(CASE WHEN price_state = 'unpriced' THEN calls ELSE 0 END), 0)",
)
_US_PER_S: Final = 1_000_000
COUNTED: Final = (
    "status <> 'rejected' AND metering <> 'free' AND price_state <> 'cached'"
    " AND kind <> 'adjustment'"
)
"""Adjustments are what finance books later: no limit was overrun by them."""
_NOT_SETTLED: Final = (
    "(status = 'interrupted' OR provider_batch_id IS NOT NULL OR kind <> 'charge'"
    " OR replaces IS NOT NULL OR observer IS NOT NULL)"
)
"""What the ledger books and no gateway worker has counted."""


def booked_in(fetch: Fetch, rule: Rule, span: Span) -> Iterator[Booked]:
    """Yield what each owner of a rule has in a window."""
    each, match = rule.budget.each, rule.budget.match
    names = [*each, *(name for name in match if name not in each)]
    columns = ", ".join([*_fields(names), *_SUMS])
    found = fetch(
        f"SELECT {columns} FROM entries WHERE called_at >= make_timestamp(?)"  # noqa: S608 -- our own names
        f" AND called_at < make_timestamp(?) AND {COUNTED} GROUP BY ALL",
        [span.start_s * _US_PER_S, span.end_s * _US_PER_S],
    )
    for row in found:
        yield _booked(names, row)


def not_settled_after(fetch: Fetch, entry_id: int) -> Iterator[tuple[int, Booked]]:
    """Yield the quarter of an hour (seconds since the epoch) and the sums behind an entry.

    Quarters, because windows begin there: some zones are half an hour or 45 minutes off.
    """
    names = list(COLUMNS)
    columns = ", ".join([*_fields(names), *_SUMS])
    found = fetch(
        f"SELECT epoch_us(called_at) // 900000000 * 900, {columns} FROM entries"  # noqa: S608 -- our own names
        f" WHERE entry_id > ? AND {COUNTED} AND {_NOT_SETTLED} GROUP BY ALL",
        [entry_id],
    )
    for at_s, *row in found:
        yield at_s, _booked(names, row)


def _fields(names: Sequence[str]) -> list[str]:
    return [f"coalesce({COLUMNS[name]}, '{UNKNOWN}')" for name in names]


def _booked(names: Sequence[str], row: Sequence[Any]) -> Booked:
    usd, tokens, requests, unpriced = row[len(names) :]
    fields = dict.fromkeys(COLUMNS, UNKNOWN) | dict(zip(names, row, strict=False))
    return Booked(fields, pico_from_usd(str(usd)), int(tokens), int(requests), int(unpriced))
