"""``insights.skew``: how few owners most of the spend is of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook.insights.asked import (
    Asked,
    Finding,
    answer,
    checked_limit,
    dimension_of,
    query_of,
    shown,
)
from tollbook.insights.shares import decimal_text, gini, lorenz, top_amount, top_count
from tollbook.money import usd_text
from tollbook.reports.dimensions import UNKNOWN
from tollbook.reports.exact_ratio import percent
from tollbook.reports.wide import wide_rows

if TYPE_CHECKING:
    from tollbook.desk import Desk

_TOPS: Final = (1, 5, 10, 20)
_HEADLINE_TOP: Final = 5
METHOD: Final = (
    "Owners are those with calls in the range; spend that names none is told beside and not "
    "ranked. The Lorenz curve gives the share of spend of the smaller owners, added up from the "
    "smallest. The Gini coefficient is the sum of (2 i - n - 1) x_i over n times the total, the "
    "i-th smallest of n owners having x_i: 0 is all the same, near 1 is one that has it all. The "
    "top p percent of n owners are n p / 100 of them, rounded up. An owner whose credits exceed "
    "its cost counts as zero."
)


class SkewRequest(Asked, kw_only=True):
    """Of whom."""

    by: str = "tenant"


def skew(desk: Desk, asked: SkewRequest) -> dict[str, Any]:
    """Answer with the largest owners, their shares, the curve and the coefficient."""
    by = dimension_of(asked.by)
    query = query_of(asked, by=(by,))
    found = {row[by]: (row["cost_usd"] or 0, row["calls"]) for row in wide_rows(desk.reader, query)}
    unnamed, _ = found.pop(None, (0, 0))
    amounts = [max(amount, 0) for amount, _ in found.values()]
    total, coefficient = sum(amounts), gini(amounts)
    ranked = sorted(found.items(), key=lambda one: (-one[1][0], str(one[0])))
    rows, running = [], 0
    for rank, (name, (amount, calls)) in enumerate(ranked[: checked_limit(asked.limit)], 1):
        running += max(amount, 0)
        rows.append({
            "rank": rank, by: name, "calls": calls, "cost_usd": usd_text(amount),
            "cost_percent": percent(max(amount, 0), total),
            "cumulative_percent": percent(running, total),
        })  # fmt: skip
    tops = [
        {
            "top_percent": top, "owners": top_count(len(amounts), top),
            "cost_usd": usd_text(top_amount(amounts, top)),
            "cost_percent": percent(top_amount(amounts, top), total),
        }
        for top in _TOPS
    ]  # fmt: skip
    return answer(desk, query, Finding(
        rows=rows, by=(by,), method=METHOD,
        totals={
            "owners": len(amounts), "cost_usd": usd_text(total),
            "gini": None if coefficient is None else decimal_text(coefficient, 4),
            "gini_exact": None if coefficient is None else str(coefficient),
            f"{UNKNOWN}_usd": usd_text(unnamed),
        },
        headline=_words(by, amounts, total), at_stake=top_amount(amounts, _HEADLINE_TOP),
        more={
            "tops": tops,
            "lorenz": [
                {"owners": one.owners, "owners_percent": percent(one.owners, len(amounts)),
                 "cost_usd": usd_text(one.amount), "cost_percent": percent(one.amount, total)}
                for one in lorenz(amounts)
            ],
        },
    ))  # fmt: skip


def _words(by: str, amounts: list[int], total: int) -> str:
    if not total:
        return "Nothing was spent in this range."
    top = top_amount(amounts, _HEADLINE_TOP)
    return (
        f"The top {_HEADLINE_TOP} % ({top_count(len(amounts), _HEADLINE_TOP)} of {len(amounts)}) "
        f"by {by.replace('_', ' ')} spend {shown(top)}, {percent(top, total)} % of {shown(total)}."
    )
