"""``insights.retry_waste``: dollars of attempts that came to nothing, by cause."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from tollbook.insights.asked import Asked, Finding, answer, checked_limit, query_of, shown
from tollbook.money import usd_text
from tollbook.reports.attempts import Attempts, attempts
from tollbook.reports.exact_ratio import percent

if TYPE_CHECKING:
    from tollbook.desk import Desk

METHOD: Final = (
    "Wasted is what attempts cost that ended in an error, were cancelled by the client or "
    "interrupted, and what attempts cost that were answered and yet repeated by another attempt. "
    "An attempt that stands in for a failed one is not waste, whatever it costs; it is told "
    "beside. Providers bill few errors, so most failed calls cost nothing; those whose cost is "
    "not known are counted apart."
)
ANSWERED: Final = "answered, then repeated"
_WORDS: Final = {"cancelled": "cancelled by the client", "interrupted": "interrupted"}


class WasteRequest(Asked, kw_only=True):
    """Of what range."""


def cause_of(one: Attempts) -> str | None:
    """Return why attempts were wasted, None where they were not."""
    if one.status == "ok":
        return ANSWERED if one.was_repeated else None
    if one.status == "error":
        return one.error_type or "error"
    return _WORDS.get(one.status)


def retry_waste(desk: Desk, asked: WasteRequest) -> dict[str, Any]:
    """Answer with waste by cause, feature and provider."""
    query = query_of(asked, by=("feature", "provider"))
    sums: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    repeats = [0, 0]
    calls = spent = 0
    for one in attempts(desk.reader, query):
        calls += one.calls
        spent += one.cost
        if one.is_repeat:
            repeats[0] += one.calls
            repeats[1] += one.cost
        cause = cause_of(one)
        if cause is None:
            continue
        found = sums[(cause, *one.group)]
        found[0] += one.calls
        found[1] += one.cost
        found[2] += one.unknown_calls
        found[3] += one.calls if one.was_repeated else 0
    ranked = sorted(sums.items(), key=lambda item: (-item[1][1], -item[1][0], str(item[0])))
    waste = sum(found[1] for found in sums.values())
    failed = sum(found[0] for found in sums.values())
    rows = [
        {
            "cause": cause, "feature": feature, "provider": provider, "calls": found[0],
            "repeated_calls": found[3], "waste_usd": usd_text(found[1]),
            "waste_percent": percent(found[1], waste), "unknown_cost_calls": found[2],
        }
        for (cause, feature, provider), found in ranked[: checked_limit(asked.limit)]
        if found[0] or found[1]
    ]  # fmt: skip
    return answer(desk, query, Finding(
        rows=rows, by=("feature", "provider"), method=METHOD, at_stake=waste,
        totals={
            "calls": calls, "wasted_calls": failed, "wasted_percent_of_calls":
            percent(failed, calls), "waste_usd": usd_text(waste),
            "waste_percent": percent(waste, spent), "repeats": repeats[0],
            "repeats_usd": usd_text(repeats[1]),
            "unknown_cost_calls": sum(found[2] for found in sums.values()),
        },
        headline=_words(ranked, waste, failed, calls),
    ))  # fmt: skip


def _words(
    ranked: list[tuple[tuple[Any, ...], list[int]]], waste: int, failed: int, calls: int
) -> str:
    if not failed:
        return "No attempt in this range came to nothing."
    text = f"{failed:,} of {calls:,} attempts came to nothing and cost {shown(waste)}"
    (cause, feature, _), found = ranked[0]
    if not found[1]:
        return f"{text}."
    return f"{text}; most: {cause} in {feature or 'no feature'}, {shown(found[1])}."
