"""``insights.memory_roi``: what memory and context cost, and how calls with them differ."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tollbook.insights.asked import (
    Asked,
    Finding,
    answer,
    checked_limit,
    dimension_of,
    query_of,
    shown,
)
from tollbook.money import usd_text
from tollbook.reports.dimensions import UNKNOWN
from tollbook.reports.exact_ratio import percent, rounded, usd_each
from tollbook.reports.layered_calls import ContextUse, context_use

if TYPE_CHECKING:
    from tollbook.desk import Desk

METHOD: Final = (
    "Calls whose requests carry memories or retrieved chunks (and earlier turns, if you count "
    "them) are compared with calls of the same group that carry none, model by model. Where only "
    "the layer of a request is known and not its sections, earlier turns count in any case. Cost "
    "of context: the dollars of the context layer. Difference of the answer: for each model, what "
    "answers of calls without context cost on average, less what those with it cost, times the "
    "calls with it: positive where answers are shorter with context. Net: that difference less "
    "the cost of context. This is a correlation: requests that carry context are other requests, "
    "and shorter answers are not better ones. Only an experiment tells what context does."
)


class MemoryRequest(Asked, kw_only=True):
    """By what, and what counts as context."""

    by: str = "feature"
    history: bool = False
    """Whether earlier turns of a conversation count."""


class Side(NamedTuple):
    """Calls with or without context."""

    calls: int = 0
    errors: int = 0
    answered: int = 0
    cost: int = 0
    context_tokens: int = 0
    context_cost: int = 0
    response_tokens: int = 0
    response_cost: int = 0

    def plus(self, one: ContextUse) -> Side:
        """Return the sums with further calls."""
        return Side(*map(sum, zip(self, one[3:], strict=True)))


def memory_roi(desk: Desk, asked: MemoryRequest) -> dict[str, Any]:
    """Answer with calls with and without context, side by side."""
    by = dimension_of(asked.by)
    query = query_of(asked, by=(by,))
    found: dict[str | None, dict[str | None, list[Side]]] = defaultdict(
        lambda: defaultdict(lambda: [Side(), Side()])
    )
    for one in context_use(desk.reader, query, is_history_counted=asked.history):
        sides = found[one.group[0]][one.model]
        sides[one.has_context] = sides[one.has_context].plus(one)
    rows = [_row(by, name, models) for name, models in found.items()]
    rows = [row for row in rows if row["with_calls"]]
    rows.sort(key=lambda row: (-row["context"], str(row[by])))
    context = sum(row["context"] for row in rows)
    compared = [row["difference"] for row in rows if row["difference"] is not None]
    difference = sum(compared) if compared else None
    return answer(desk, query, Finding(
        rows=[_shown(row) for row in rows[: checked_limit(asked.limit)]], by=(by,), method=METHOD,
        totals={
            "with_calls": sum(row["with_calls"] for row in rows),
            "without_calls": sum(row["without_calls"] for row in rows),
            "context_usd": usd_text(context),
            "answer_difference_usd": None if difference is None else usd_text(difference),
        },
        headline=_words(rows, context, difference), at_stake=context,
    ))  # fmt: skip


def _row(by: str, name: str | None, models: dict[str | None, list[Side]]) -> dict[str, Any]:
    without, carrying = (_total([sides[at] for sides in models.values()]) for at in (0, 1))
    pairs = [(one, two) for one, two in models.values() if one.answered and two.answered]
    difference = sum(answer_difference(one, two) for one, two in pairs) if pairs else None
    return {
        by: UNKNOWN if by == "tenant" and name is None else name,
        "with_calls": carrying.calls, "without_calls": without.calls,
        "context": carrying.context_cost, "difference": difference,
        "net": None if difference is None else difference - carrying.context_cost,
        "with_cost_per_call_usd": usd_each(carrying.cost, carrying.answered),
        "without_cost_per_call_usd": usd_each(without.cost, without.answered),
        "with_answer_tokens": _each(carrying.response_tokens, carrying.answered),
        "without_answer_tokens": _each(without.response_tokens, without.answered),
        "with_error_percent": percent(carrying.errors, carrying.calls),
        "without_error_percent": percent(without.errors, without.calls),
    }  # fmt: skip


def answer_difference(without: Side, carrying: Side) -> int:
    """Return what answers without context cost more, over the calls with it, in pico.

    ``calls_with * response_without / calls_without - response_with``; calls with known usage.
    """
    expected = rounded(carrying.answered * without.response_cost, without.answered)
    return expected - carrying.response_cost


def _total(sides: list[Side]) -> Side:
    return Side(*map(sum, zip(*sides, strict=True))) if sides else Side()


def _each(amount: int, number: int) -> int | None:
    return rounded(amount, number) if number > 0 else None


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    plain = {name: value for name, value in row.items() if name not in _AMOUNTS}
    return plain | {
        f"{shown_as}_usd": None if row[name] is None else usd_text(row[name])
        for name, shown_as in _AMOUNTS.items()
    }


_AMOUNTS: Final = {"context": "context", "difference": "answer_difference", "net": "net"}


def _words(rows: list[dict[str, Any]], context: int, difference: int | None) -> str:
    if not rows:
        return "No request in this range is known to carry memory or context."
    text = f"Memory and context cost {shown(context)}"
    if difference is None:
        return f"{text}; there are no calls without to compare with."
    way = "less" if difference >= 0 else "more"
    return f"{text}; answers of calls with it cost {shown(abs(difference))} {way} than without."
