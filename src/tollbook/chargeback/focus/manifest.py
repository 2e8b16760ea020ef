"""What stands beside the files: the query, how complete it is, and which prices it rests on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from tollbook import __version__, clock
from tollbook.chargeback.focus.layout import KIND, time_text
from tollbook.chargeback.focus.writers import number_text
from tollbook.chargeback.periods import period_state
from tollbook.ledger.cards import BooksShelf
from tollbook.money import usd_decimal
from tollbook.reports.params import to_pairs
from tollbook.reports.spend import run_spend
from tollbook.reports.wide import wide_rows

if TYPE_CHECKING:
    from tollbook.chargeback.focus.export import Totals, Wanted
    from tollbook.chargeback.focus.invoices import Invoices
    from tollbook.desk import Desk

_UNKNOWN_COST: Final = (
    "rows with x_CostBasis unknown have usage whose cost nobody knows: their costs are 0 because "
    "FOCUS allows no null, and x_UnknownCostRequestCount counts their requests"
)


def manifest_of(
    desk: Desk, wanted: Wanted, export_id: str, totals: Totals, invoices: Invoices
) -> dict[str, Any]:
    """Return the manifest, without its files.

    ``totals.report_cost`` is the report's own total of the same entries.
    """
    scope = wanted.scope
    return {
        "export_id": export_id,
        "kind": KIND,
        "focus_version": wanted.version,
        "perspective": wanted.perspective,
        "view": scope.view,
        "billing_period": scope.query.billing_period,
        "billing_periods": {
            period.name: period_state(desk.books, period.name).value for period, _ in scope.parts
        },
        "timezone": sorted({period.timezone for period, _ in scope.parts}),
        "query": dict(to_pairs(scope.query)),
        "last_entry_id": max(
            (query.entry_window.upto_entry or 0 for _, query in scope.parts if query.entry_window),
            default=None,
        ),
        "created_at": time_text(clock.utc_now()),
        "tollbook_version": __version__,
        "completeness": msgspec.to_builtins(run_spend(desk.reader, scope.query).completeness),
        "prices": _price_versions(desk, totals.price_cards),
        "currency": "USD",
        "totals": {
            "rows": totals.rows,
            "billed_cost": number_text(totals.billed_cost),
            "effective_cost": number_text(totals.effective_cost),
            "request_count": int(totals.request_count),
            "unknown_cost_request_count": int(totals.unknown_cost_request_count),
            "report_cost": number_text(usd_decimal(_report_pico(desk, wanted))),
        },
        "notes": _notes(totals, invoices),
    }


def _report_pico(desk: Desk, wanted: Wanted) -> int:
    column = "cost_usd" if wanted.perspective == "cost" else "billable_usd"
    total = 0
    for _, query in wanted.scope.parts:
        asked = msgspec.structs.replace(query, measures=(column,))
        total += sum(row[column] or 0 for row in wide_rows(desk.reader, asked))
    return total


def _price_versions(desk: Desk, card_ids: set[str]) -> dict[str, Any]:
    found = BooksShelf(desk.books).find(sorted(card_ids))
    sources: dict[str, int] = {}
    for card in found.values():
        sources[card.source] = sources.get(card.source, 0) + 1
    return {"sources": dict(sorted(sources.items())), "cards": sorted(card_ids)}


def _notes(totals: Totals, invoices: Invoices) -> list[str]:
    notes = [_UNKNOWN_COST] if totals.unknown_cost_request_count else []
    notes += [
        f"{provider} has several invoices in a period: only rows that name a statement are on one"
        for provider in invoices.ambiguous
    ]
    return notes
