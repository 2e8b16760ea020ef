"""The margin report: rows with exact ratios, the period before, and thresholds that are crossed."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from tollbook.chargeback.margin.model import Target
from tollbook.chargeback.margin.rows import FEATURE, MONTH, TENANT, Span, Sums, margin_rows, ns_of
from tollbook.chargeback.margin.shelf import decided
from tollbook.ledger.billing_rules import load_rules
from tollbook.money import usd_text
from tollbook.prices.billable import Described, Matcher
from tollbook.reports.dimensions import UNKNOWN
from tollbook.reports.exact_ratio import rounded
from tollbook.reports.times import start_of_day
from tollbook.reports.zone import zone_of

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from tollbook.books.store import Books
    from tollbook.chargeback.margin.rows import Answer
    from tollbook.ledger.billing_rules import RulesInForce
    from tollbook.reports.reader import Reader

_HUNDREDTHS: Final = 10_000
"""Of a percent, in a whole."""
NO_REVENUE: Final = "no revenue"
NO_USAGE: Final = "no usage"
NOT_SPLIT: Final = "names no feature"


def margin_report(reader: Reader, books: Books, span: Span, by: str, split: str) -> dict[str, Any]:
    """Return the answer of ``GET /margin``.

    Ratios are of the sums of a row, never averages of other ratios, with two digits after the
    point, half to even; thresholds are compared with the exact fraction.

    Raises:
        RevenueError: a target that cannot be read.
        BooksError: the books cannot be read.
        QueryTimeoutError: it took too long.
    """
    now = margin_rows(reader, books, span, by, split)
    earlier = previous(span)
    # Of months each row is a period itself: the trend is the row before.
    before = margin_rows(reader, books, earlier, by, split)
    at_ns = ns_of(span.until) - 1
    targets = _targets(books, at_ns)
    rules = load_rules(books).at(at_ns)
    rows, total = [], Sums()
    last: Sums | None = _last_month(before) if by == MONTH else None
    for key in sorted(now.rows, key=lambda one: ((by == MONTH and one[0]) or "", _rank(now, one))):
        sums = now.rows[key]
        total += sums
        was = last if by == MONTH else before.rows.get(key)
        last = sums
        rows.append(_row(by, key, sums, was, _target(targets, by, key[0], rules)))
    if by != MONTH:
        gone = sorted(set(before.rows) - set(now.rows), key=str)
        # Who paid before and is gone now is news, not nothing.
        rows += [
            _row(by, key, Sums(), was, None)
            for key, was in ((key, before.rows[key]) for key in gone)
            if was.revenue
        ]
    whole_before = sum(before.rows.values(), Sums())
    return {
        "rows": rows,
        "totals": _figures(total, whole_before),
        "since": span.since.isoformat(), "until": span.until.isoformat(),
        "before_since": earlier.since.isoformat(), "before_until": earlier.until.isoformat(),
        "by": by, "split": split if by == FEATURE else None,
        "unconverted": [
            {"currency": one.currency, "day": one.day, "amount": usd_text(one.amount)}
            for one in now.unconverted
        ],
        "alerts": sum(len(row["alerts"]) for row in rows),
        "currency": "USD",
    }  # fmt: skip


def previous(span: Span) -> Span:
    """Return the period before: of whole months so many months, else as long a time."""
    zone = zone_of(span.tz)
    first, last = span.since.astimezone(zone), span.until.astimezone(zone)
    months = (last.year - first.year) * 12 + last.month - first.month
    if months and _starts_month(span.since, span.tz) and _starts_month(span.until, span.tz):
        number = first.year * 12 + first.month - 1 - months
        day = first.date().replace(year=number // 12, month=number % 12 + 1)
        return Span(start_of_day(day, zone), span.since, span.tz)
    length: timedelta = span.until - span.since
    return Span(span.since - length, span.since, span.tz)


def _starts_month(moment: datetime, tz: str) -> bool:
    zone = zone_of(tz)
    day = moment.astimezone(zone).date()
    return day.day == 1 and start_of_day(day, zone) == moment


def _last_month(before: Answer) -> Sums | None:
    months = [name for name, _ in before.rows if name is not None]
    return before.rows[max(months), False] if months else None


def _rank(answer: Answer, key: tuple[str | None, bool]) -> tuple[int, str]:
    sums = answer.rows[key]
    return (-max(sums.cost, sums.revenue), key[0] or "")


def _row(
    by: str, key: tuple[str | None, bool], sums: Sums, before: Sums | None, target: Target | None
) -> dict[str, Any]:
    name, is_unsplit = key
    notes = []
    if is_unsplit:
        notes.append(NOT_SPLIT)
    elif sums.cost and not sums.revenue_lines and not sums.revenue:
        notes.append(NO_REVENUE)
    elif sums.revenue_lines and not sums.calls:
        notes.append(NO_USAGE)
    if sums.unpriced_calls:
        notes.append(f"{sums.unpriced_calls} calls without a known cost")
    figures = _figures(sums, before)
    shown = UNKNOWN if by == TENANT and name is None else name
    return {by: shown} | figures | {
        "notes": notes,
        "alerts": [] if target is None or is_unsplit else _alerts(sums, before, target),
    }  # fmt: skip


def _figures(sums: Sums, before: Sums | None) -> dict[str, Any]:
    figures: dict[str, Any] = {
        "revenue_usd": usd_text(sums.revenue), "direct_cost_usd": usd_text(sums.direct),
        "allocated_cost_usd": usd_text(sums.allocated),
        "adjusted_cost_usd": usd_text(sums.adjusted), "cost_usd": usd_text(sums.cost),
        "gross_margin_usd": usd_text(sums.margin),
        "margin_percent": _percent(margin_of(sums)),
        "cost_to_revenue_percent": _percent(cost_to_revenue(sums)),
        "billable_usd": usd_text(sums.billable), "calls": sums.calls,
        "unpriced_calls": sums.unpriced_calls,
    }  # fmt: skip
    was, now = None if before is None else margin_of(before), margin_of(sums)
    return figures | {
        "revenue_before_usd": None if before is None else usd_text(before.revenue),
        "cost_before_usd": None if before is None else usd_text(before.cost),
        "margin_before_percent": _percent(was),
        "margin_change_points": None if was is None or now is None else _percent(now - was),
    }


def margin_of(sums: Sums) -> Fraction | None:
    """Return gross margin by revenue; None where there is no revenue."""
    return Fraction(sums.margin, sums.revenue) if sums.revenue > 0 else None


def cost_to_revenue(sums: Sums) -> Fraction | None:
    """Return cost by revenue; None where there is no revenue."""
    return Fraction(sums.cost, sums.revenue) if sums.revenue > 0 else None


def _percent(ratio: Fraction | None) -> str | None:
    """Return a ratio in percent with two digits after the point, half to even."""
    if ratio is None:
        return None
    value = rounded(ratio.numerator * _HUNDREDTHS, ratio.denominator)
    sign = "-" if value < 0 else ""
    return f"{sign}{abs(value) // 100}.{abs(value) % 100:02d}"


def _targets(books: Books, at_ns: int) -> list[tuple[Matcher, Target]]:
    found = [
        (Matcher(body.match), body) for _, body in decided(books, at_ns) if isinstance(body, Target)
    ]
    return sorted(found, key=lambda pair: pair[0].rank, reverse=True)


def _target(
    targets: list[tuple[Matcher, Target]], by: str, name: str | None, rules: RulesInForce
) -> Target | None:
    """Return the most specific target of a row; of a month one that names nobody."""
    row = Described(
        tenant=name if by == "tenant" else None,
        plan=rules.plan_of(name) if by == "tenant" else name if by == "plan" else None,
        feature=name if by == FEATURE else None,
    )
    return next((target for matcher, target in targets if matcher.fits(row)), None)


def _alerts(sums: Sums, before: Sums | None, target: Target) -> list[str]:
    alerts = []
    now, spent = margin_of(sums), cost_to_revenue(sums)
    was = None if before is None else margin_of(before)
    least, most = target.min_margin_percent, target.max_cost_to_revenue_percent
    if now is None:
        if sums.cost > 0 and (least is not None or most is not None):
            alerts.append(f"cost of {usd_text(sums.cost)} USD and no revenue")
        return alerts
    if least is not None and now < Fraction(least) / 100:
        alerts.append(f"margin of {_percent(now)} % is below {least} %")
    if most is not None and spent is not None and spent > Fraction(most) / 100:
        alerts.append(f"cost of {_percent(spent)} % of revenue is above {most} %")
    drop = target.max_margin_drop_points
    if drop is not None and was is not None and was - now > Fraction(drop) / 100:
        alerts.append(f"margin fell by {_percent(was - now)} points, more than {drop}")
    return alerts
