"""``insights.right_sizing``: features that use a large model for small outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from tollbook.chargeback.pricebook.shelf import price_book
from tollbook.insights.asked import Asked, Finding, answer, checked_limit, query_of, shown
from tollbook.insights.reprice import Repriced, reprice
from tollbook.insights.smaller_models import smaller_model
from tollbook.money import usd_text
from tollbook.reports.errors import QueryError
from tollbook.reports.exact_ratio import percent, rounded
from tollbook.reports.wide import wide_rows
from tollbook.usage import OUTPUT_KINDS

if TYPE_CHECKING:
    from tollbook.desk import Desk

METHOD: Final = (
    "Candidates are the calls of a feature with a model that a smaller one is named for (or any "
    "model of the provider, where you name the target), if they write at most the given number "
    "of tokens on average and are at least the given number. Each call's own usage is priced "
    "again with the target's price card in force at its time, contracts, tiers and regions "
    "included, by the function that the ledger prices with. The saving is the difference. Calls "
    "that the target has no price for are counted apart and not saved on. A smaller model may "
    "count tokens differently, write more or less, and do the task worse: test it before you "
    "switch."
)


class RightSizingRequest(Asked, kw_only=True):
    """What counts as small, and which model to compare with."""

    output_max: int = 300
    """Tokens that calls write on average, reasoning included, at most."""
    calls_min: int = 20
    target: str | None = None
    """The model to compare with; unset: the smaller one of each provider's line-up."""


def right_sizing(desk: Desk, asked: RightSizingRequest) -> dict[str, Any]:
    """Answer with features and models that a smaller model would serve for less."""
    if asked.output_max < 0 or asked.calls_min < 1:
        raise QueryError("--output-max", "and --calls-min are positive numbers")
    query = query_of(
        asked, by=("feature", "provider", "model"), measures=("calls", "output_tokens", "cost_usd")
    )
    candidates: dict[tuple[Any, ...], tuple[int, int]] = {}
    for row in wide_rows(desk.reader, query):
        # A reversal's counterpart nets out, so what is left are answered calls.
        calls = row["known_calls"] or 0
        wrote = sum(row[kind] or 0 for kind in OUTPUT_KINDS)
        if calls >= asked.calls_min and 0 < wrote <= asked.output_max * calls:
            candidates[row["feature"], row["provider"], row["model"]] = (calls, wrote)
    pairs = {(provider, model) for _, provider, model in candidates}

    def target(provider: str, model: str) -> str | None:
        if (provider, model) not in pairs:
            return None
        to = asked.target or smaller_model(model)
        return None if to == model else to

    found = reprice(desk.reader, price_book(desk), replace(query, by=("feature",)), target)
    rows = [
        _row(key, one, candidates[key[:3]])
        for key, one in found.items()
        if key[:3] in candidates
    ]  # fmt: skip
    rows.sort(key=lambda row: (-row["saving"], str(row["feature"]), row["model"]))
    saving = sum(row["saving"] for row in rows if row["saving"] > 0)
    cost = sum(row["cost"] for row in rows if row["saving"] > 0)
    unpriced = sum(row["unpriced_calls"] for row in rows)
    return answer(desk, query, Finding(
        rows=[_shown(row) for row in rows[: checked_limit(asked.limit)]],
        by=("feature", "provider", "model"), method=METHOD, at_stake=saving,
        totals={
            "calls": sum(row["calls"] for row in rows), "cost_usd": usd_text(cost),
            "saving_usd": usd_text(saving), "unpriced_calls": unpriced,
        },
        headline=_words(rows, saving),
    ))  # fmt: skip


def _row(key: tuple[Any, ...], one: Repriced, seen: tuple[int, int]) -> dict[str, Any]:
    feature, provider, model, to = key
    calls, wrote = seen
    return {
        "feature": feature, "provider": provider, "model": model, "target": to,
        "calls": one.calls, "output_tokens_per_call": rounded(wrote, calls), "cost": one.cost,
        "target_cost": one.other_cost, "saving": one.cost - one.other_cost,
        "unpriced_calls": one.unpriced_calls, "why_unpriced": "; ".join(one.reasons) or None,
    }  # fmt: skip


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    return {
        **{name: row[name] for name in (
            "feature", "provider", "model", "target", "calls", "output_tokens_per_call",
        )},
        "cost_usd": usd_text(row["cost"]), "target_cost_usd": usd_text(row["target_cost"]),
        "saving_usd": usd_text(row["saving"]),
        "saving_percent": percent(row["saving"], row["cost"]),
        "unpriced_calls": row["unpriced_calls"], "why_unpriced": row["why_unpriced"],
    }  # fmt: skip


def _words(rows: list[dict[str, Any]], saving: int) -> str:
    if saving <= 0:
        return "No feature uses a large model for small outputs at a higher price."
    best = rows[0]
    return (
        f"{shown(saving)} less with smaller models; most by {best['feature'] or 'no feature'}: "
        f"{best['output_tokens_per_call']} tokens an answer with {best['model']}, "
        f"{shown(best['saving'])} less with {best['target']}."
    )
