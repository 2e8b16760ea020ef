"""What new prices make of calls that are booked, as rows: by tenant and model, tenant, month."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tollbook.chargeback.periods.events import period_state
from tollbook.money import pico_from_usd, usd_text
from tollbook.reports.dimensions import UNKNOWN
from tollbook.reports.spend import CURRENCY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tollbook.books.store import Books
    from tollbook.ledger.rerate import RerateMonth, RerateReport, RerateRow


def restatement(books: Books, report: RerateReport, *, is_applied: bool) -> dict[str, Any]:
    """Return a re-rating as an answer.

    Args:
        books: that know which months are closed.
        report: of a preview, or of what was booked.
        is_applied: which of the two.

    Returns:
        ``rows`` by tenant and model, ``tenants``, ``months`` and ``totals``; the largest change
        comes first, amounts are decimal text.
    """
    rows = [_change_json(group) for group in _by_tenant_and_model(report.rows)]
    rows.sort(key=lambda row: -abs(pico_from_usd(row["change_usd"])))
    totals = {
        "calls": report.calls,
        "before_usd": usd_text(sum(row.old_cost for row in report.rows)),
        "after_usd": usd_text(sum(row.new_cost for row in report.rows)),
        "change_usd": usd_text(report.difference),
        "unpriced_before": sum(row.old_unpriced_calls for row in report.rows),
        "unpriced_after": sum(row.new_unpriced_calls for row in report.rows),
    }
    tenants = [_sums_json(group) for group in _by_tenant(report.rows)]
    tenants.sort(key=lambda row: -abs(pico_from_usd(row["change_usd"])))
    return {
        "applied": is_applied, "rows": rows, "tenants": tenants, "totals": totals,
        "months": [_month_json(books, one) for one in report.months], "currency": CURRENCY,
    }  # fmt: skip


def _month_json(books: Books, one: RerateMonth) -> dict[str, Any]:
    """Return what changes in a month; that of a closed one is booked in the open one."""
    return {
        "month": one.month,
        "period": period_state(books, one.month).value,
        "calls": one.calls,
        "before_usd": usd_text(one.old_cost),
        "after_usd": usd_text(one.new_cost),
        "change_usd": usd_text(one.new_cost - one.old_cost),
    }


def _by_tenant(rows: Iterable[RerateRow]) -> list[list[RerateRow]]:
    groups: dict[str, list[RerateRow]] = {}
    for row in rows:
        groups.setdefault(row.tenant_id or UNKNOWN, []).append(row)
    return list(groups.values())


def _by_tenant_and_model(rows: Iterable[RerateRow]) -> list[list[RerateRow]]:
    """Group rows as reports do: who says ``unknown`` is as unattributed as who says nothing."""
    groups: dict[tuple[str, str, str | None], list[RerateRow]] = {}
    for row in rows:
        groups.setdefault((row.tenant_id or UNKNOWN, row.provider, row.model), []).append(row)
    return list(groups.values())


def _change_json(rows: list[RerateRow]) -> dict[str, Any]:
    sums = _sums_json(rows)
    return {
        "tenant": sums.pop("tenant"),
        "provider": rows[0].provider,
        "model": rows[0].model,
        **sums,
        "cards_before": sorted({card for row in rows for card in row.old_card_ids}),
        "cards_after": sorted({card for row in rows for card in row.new_card_ids}),
    }


def _sums_json(rows: list[RerateRow]) -> dict[str, Any]:
    return {
        "tenant": rows[0].tenant_id or UNKNOWN,
        "calls": sum(row.calls for row in rows),
        "before_usd": usd_text(sum(row.old_cost for row in rows)),
        "after_usd": usd_text(sum(row.new_cost for row in rows)),
        "change_usd": usd_text(sum(row.difference for row in rows)),
        "unpriced_before": sum(row.old_unpriced_calls for row in rows),
        "unpriced_after": sum(row.new_unpriced_calls for row in rows),
    }
