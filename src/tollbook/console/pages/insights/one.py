"""The page of one insight: figures, chart, table, how it was computed."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, Final

from tollbook.console.pages.insights.asking import ask_soon, given
from tollbook.console.pages.links import tenant_url
from tollbook.console.pages.parts import choice_of
from tollbook.console.pages.view import (
    Choice,
    Column,
    Controls,
    Field,
    Figures,
    Notice,
    Section,
    Table,
    Text,
    View,
)
from tollbook.reports.params import format_filter
from tollbook.reports.query import Filter

if TYPE_CHECKING:
    from collections.abc import Callable

    from tollbook.console.pages.context import PageContext
    from tollbook.console.pages.insights.shape import Shape

ROWS: Final = 25
"""Of a table; the command and the API give more with ``limit``."""
_AGAIN_S: Final = 2
_NO_AMOUNT: Final = "0.000000000000"


def page_of(shape: Shape) -> Callable[[PageContext], View]:
    """Return the function that builds the page of an insight."""

    def build(context: PageContext) -> View:
        context.check_zone()
        by = context.get("by") or shape.by
        extra = {name: context.get(name) for name, _, _ in shape.fields}
        asked = given(context, extra | ({} if by is None else {"by": by}))
        limit = {"limit": ROWS} if shape.has_limit else {}
        answer = ask_soon(context, shape.operation, asked | limit)
        if answer is None:
            return _not_yet(context, shape)
        chart = shape.chart(answer, by or "")
        sections: list[Section] = [
            Text(text=answer["headline"]),
            Figures(items=shape.figures(answer)),
            *([] if chart is None else [chart]),
            *shape.above(context, answer, by or ""),
            _table(context, shape, answer, by),
            *shape.more(context, answer, by or ""),
            Text(title="How this was computed", text=answer["method"]),
        ]
        return View(
            title=shape.title, sections=tuple(sections), tz=context.tz,
            completeness=answer["completeness"], command=_command(shape, asked),
            controls=Controls(
                choices=()
                if shape.by is None
                else (choice_of(context, "by", "by", shape.choices, shape.by),),
                fields=tuple(
                    Field(name=name, label=label, value=context.get(name) or default or None)
                    for name, label, default in shape.fields
                ),
            ),
            trail=(Choice("Insights", context.url("/insights")),),
            actions=(Choice("The calls", context.url("/calls", **_since(shape))),),
        )  # fmt: skip

    return build


def _not_yet(context: PageContext, shape: Shape) -> View:
    """Return the page while its answer is computed; it loads itself again."""
    words = "This looks at every call of the range one by one and is being computed."
    return View(
        title=shape.title, controls=Controls(), tz=context.tz, refresh_s=_AGAIN_S,
        sections=(Notice(text=words, tone="plain", url=context.url(), action="Load again"),),
        trail=(Choice("Insights", context.url("/insights")),),
    )  # fmt: skip


def _since(shape: Shape) -> dict[str, Any]:
    if shape.since is None:
        return {}
    return {"since": shape.since, "until": None, "period": None}


def _table(context: PageContext, shape: Shape, answer: dict[str, Any], by: str | None) -> Table:
    names = tuple(answer["by"]) or ((by,) if by else ())
    columns = (
        *(Column(name, name.replace("_", " ").capitalize(), "name") for name in names),
        *(column for column in shape.columns if _is_there(column, shape, answer["rows"])),
    )  # fmt: skip
    rows = [row | {"_links": _links(context, shape, answer, row)} for row in answer["rows"]]
    totals = {
        name: value for name, value in answer["totals"].items()
        if name in {column.name for column in shape.columns}
    }  # fmt: skip
    return Table(
        name=shape.name, columns=columns, rows=rows, total=totals or None, empty=shape.empty,
        title=shape.title,
    )  # fmt: skip


def _is_there(column: Column, shape: Shape, rows: list[dict[str, Any]]) -> bool:
    """Whether a column says something: rare ones are left out where all of it is zero."""
    if not rows:
        return True
    found = [row[column.name] for row in rows if column.name in row]
    if column.name in shape.rare:
        return any(value not in (None, _NO_AMOUNT, 0) for value in found)
    return bool(found)


def _links(
    context: PageContext, shape: Shape, answer: dict[str, Any], row: dict[str, Any]
) -> dict[str, str]:
    """Return links of a row: its tenant to the tenant's page, its other numbers to its calls."""
    names = [name for name in answer["by"] if name in row]
    if not names or row.get("is_other") or row.get("version", 1) is None:
        return {}
    filters = [format_filter(Filter(name, (row[name],))) for name in names]
    others = [
        one for one in context.all("where")
        if one and one.partition("=")[0].rstrip("!") not in names
    ]  # fmt: skip
    calls = context.url("/calls", where=[*others, *filters], **_since(shape))
    found = dict.fromkeys([*names, "calls", "cost_usd", "units", "requests", "last_day_usd"], calls)
    if names == ["tenant"]:
        found["tenant"] = tenant_url(context, row["tenant"])
    return {name: url for name, url in found.items() if name in row}


def _command(shape: Shape, asked: dict[str, Any]) -> str:
    words = ["tollbook", "insights", shape.name.replace("_", "-")]
    for name, value in asked.items():
        for one in value if isinstance(value, list) else [value]:
            words += [f"--{name.replace('_', '-')}", shlex.quote(str(one))]
    return " ".join(words)
