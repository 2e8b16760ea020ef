"""All insights with their dollars and one sentence each, the largest first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook.console.pages.charts import ranked_bars
from tollbook.console.pages.insights.asking import ask_all, given
from tollbook.console.pages.insights.shapes_savings import SAVINGS
from tollbook.console.pages.insights.shapes_spend import SPEND
from tollbook.console.pages.view import (
    Chart,
    Column,
    Controls,
    Figure,
    Figures,
    Section,
    Table,
    View,
)
from tollbook.money import pico_from_usd, usd_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.console.pages.context import PageContext
    from tollbook.console.pages.insights.shape import Shape

_COLUMNS: Final = (
    Column("insight", "Insight", "name"), Column("at_stake_usd", "Dollars", "amount"),
    Column("headline", "In a sentence"),
)  # fmt: skip


def index(context: PageContext) -> View:
    """Return the page of all insights."""
    context.check_zone()
    asked = given(context)
    shapes = (*SPEND, *SAVINGS)
    answers = ask_all(
        context, [(one.operation, asked | ({"by": one.by} if one.by else {})) for one in shapes]
    )
    savings, spend = _rows(context, SAVINGS, answers), _rows(context, SPEND, answers)
    spend += _neighbours(context)
    complete: Any = next(
        (one["completeness"] for one in answers.values() if isinstance(one, dict)), None
    )
    found = [row for row in savings if row["at_stake_usd"] is not None]
    sections: list[Section] = [_figures(context, savings)]
    if any(pico_from_usd(row["at_stake_usd"]) for row in found):
        sections.append(Chart(
            name="savings", title="What could be saved", values=found, height=180,
            spec=ranked_bars("insight", "at_stake_usd", title="USD"),
            summary="Dollars of each insight that could be saved.",
        ))  # fmt: skip
    sections += [
        Table(
            name="savings", title="What could be saved", columns=_COLUMNS, rows=savings,
            note="Each is computed for itself, and one may hold dollars of another: a smaller "
                 "model has smaller prompts to cache. Do not add them up.",
        ),
        Table(name="spend", title="Where it goes", columns=_COLUMNS, rows=spend),
    ]  # fmt: skip
    return View(
        title="Insights", sections=tuple(sections), completeness=complete, tz=context.tz,
        subtitle="Where spend goes, why it changed, and where it could be less.",
        controls=Controls(), command="tollbook insights",
    )  # fmt: skip


def _rows(
    context: PageContext, shapes: Sequence[Shape], answers: dict[str, dict[str, Any] | str]
) -> list[dict[str, Any]]:
    rows = []
    for one in shapes:
        answer = answers[one.operation]
        is_there = isinstance(answer, dict)
        rows.append({
            "insight": one.title,
            "at_stake_usd": answer["at_stake_usd"] if isinstance(answer, dict) else None,
            "headline": answer["headline"] if isinstance(answer, dict) else f"It {answer}."
            if answer.startswith("is ") else answer,
            "_links": {"insight": context.url(one.path), "at_stake_usd": context.url(one.path)},
            **({} if is_there else {"_tone": "warn"}),
        })  # fmt: skip
    return sorted(rows, key=_dollars, reverse=True)


def _dollars(row: dict[str, Any]) -> int:
    return -1 if row["at_stake_usd"] is None else pico_from_usd(row["at_stake_usd"])


def _neighbours(context: PageContext) -> list[dict[str, Any]]:
    """Return what other pages answer: the forecast, and what tenants pay beside what they cost."""
    pages = (
        ("Forecast", "/forecast", "The end of the month and the days ahead, with an interval."),
        ("Margin", "/margin", "What tenants, plans and features pay beside what they cost."),
    )
    return [
        {"insight": title, "at_stake_usd": None, "headline": words,
         "_links": {"insight": context.url(path)}}
        for title, path, words in pages if context.has_page(path)
    ]  # fmt: skip


def _figures(context: PageContext, savings: list[dict[str, Any]]) -> Figures:
    largest = savings[0]
    amount = None if largest["at_stake_usd"] is None else pico_from_usd(largest["at_stake_usd"])
    return Figures(
        items=(
            Figure(
                label="Largest saving", value=None if amount is None else usd_text(amount),
                kind="usd", tone="good" if amount else "plain", note=largest["insight"],
                url=largest["_links"]["insight"] if amount else context.url("/calls"),
            ),
        )
    )  # fmt: skip
