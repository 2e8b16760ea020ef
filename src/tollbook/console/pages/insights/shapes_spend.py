"""Pages of the insights that tell where money goes, and why it changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook.console.pages.charts import ranked_bars, stacked_bars
from tollbook.console.pages.insights.curves import lorenz
from tollbook.console.pages.insights.shape import Shape, plain_table
from tollbook.console.pages.insights.shapes_savings import bars
from tollbook.console.pages.view import Chart, Column, Figure
from tollbook.layers import LAYERS

if TYPE_CHECKING:
    from tollbook.console.pages.context import PageContext
    from tollbook.console.pages.view import Section

_EFFECTS: Final = (
    ("volume_usd", "Volume"), ("mix_usd", "Mix"), ("cache_usd", "Cache"), ("price_usd", "Price"),
    ("new_usd", "New"), ("gone_usd", "Gone"), ("other_usd", "Other"),
)  # fmt: skip
_CHANGE: Final = (
    Column("before_usd", "Before", "usd"), Column("cost_usd", "Now", "usd"),
    Column("change_usd", "Change", "usd_change"), Column("change_percent", "Change %", "change"),
    *(Column(name, label, "usd_change") for name, label in _EFFECTS),
)  # fmt: skip


def _change(answer: dict[str, Any], by: str) -> Chart | None:
    del by
    values = [{"effect": label, "usd": answer["totals"][name]} for name, label in _EFFECTS]
    return Chart(
        name="effects", title="What changed spend", values=values, height=240,
        spec=ranked_bars("effect", "usd", title="USD"),
        summary="Dollars of change by effect: "
        + ", ".join(f"{one['effect']} {one['usd']}" for one in values) + ".",
    )  # fmt: skip


def _change_figures(answer: dict[str, Any]) -> tuple[Figure, ...]:
    totals = answer["totals"]
    effects = {label: totals[name] for name, label in _EFFECTS[:4]}
    return (
        Figure(label="Now", value=totals["cost_usd"], kind="usd",
               change_percent=totals["change_percent"]),
        Figure(label="Before", value=totals["before_usd"], kind="usd"),
        *(Figure(label=label, value=value, kind="usd_change") for label, value in effects.items()),
    )  # fmt: skip


def _drivers(context: PageContext, answer: dict[str, Any], by: str) -> list[Section]:
    del by
    rows = [
        row | {"_links": {name: context.filtered("/calls", name, row[name])
                          for name in ("tenant", "feature", "model")}}
        for row in answer["drivers"]
    ]  # fmt: skip
    columns = (
        Column("tenant", "Tenant", "name"), Column("feature", "Feature", "name"),
        Column("model", "Model", "name"), *_CHANGE,
    )  # fmt: skip
    since, until = answer["before"]["since"][:16], answer["before"]["until"][:16]
    return [
        plain_table(
            "drivers", "What drives it", columns, rows,
            note="The tenants, features and models that changed most. Before: "
                 f"{since} to {until} UTC.",
        )
    ]  # fmt: skip


def _skew(answer: dict[str, Any], by: str) -> Chart | None:
    if len(answer["lorenz"]) < 2:  # noqa: PLR2004 -- a line has two ends
        return None
    return Chart(
        name="lorenz", title="Lorenz curve", values=answer["lorenz"], height=300,
        spec=lorenz("owners_percent", "cost_percent", y_title="% of spend",
                    x_title=f"% of {by}s, the smallest first"),
        summary=f"Share of spend of the smaller owners; Gini {answer['totals']['gini']}.",
    )  # fmt: skip


def _skew_figures(answer: dict[str, Any]) -> tuple[Figure, ...]:
    totals = answer["totals"]
    return (
        *(
            Figure(label=f"Top {one['top_percent']} %", value=one["cost_percent"], kind="percent",
                   note=f"of spend, by {one['owners']} of {totals['owners']}")
            for one in answer["tops"]
        ),
        Figure(label="Gini", value=totals["gini"], note="0: all the same; near 1: one has it all"),
    )  # fmt: skip


def _units(answer: dict[str, Any], by: str) -> Chart | None:
    return bars(
        answer, (answer["by"][0] if answer["by"] else by,), [("cost_per_unit_usd", "cost")],
        name="each", title=f"Cost of one {answer['unit']}",
        words=f"What one {answer['unit']} costs on average, by group.",
    )  # fmt: skip


def _units_figures(answer: dict[str, Any]) -> tuple[Figure, ...]:
    totals = answer["totals"]
    shown = [
        Figure(label="Cost of one", value=totals.get("cost_per_unit_usd"), kind="usd"),
        Figure(label="Number", value=totals.get("units", totals.get("quantity"))),
    ]
    for rank in (50, 95, 99):
        if f"p{rank}_usd" in totals:
            label = "Half cost at most" if rank == 50 else f"{rank} % cost at most"  # noqa: PLR2004 -- the median
            shown.append(Figure(label=label, value=totals[f"p{rank}_usd"], kind="usd"))
    return tuple(shown)


def _layers(answer: dict[str, Any], by: str) -> Chart | None:
    if not answer["rows"]:
        return None
    return Chart(
        name="layers", title=f"Cost of layers per {by}", values=answer["rows"],
        spec=stacked_bars(by, "cost_usd", "layer", title="USD", order=list(LAYERS)),
        summary="Dollars of prompt, tools, context, user input and answer in each step.",
    )  # fmt: skip


def _layers_figures(answer: dict[str, Any]) -> tuple[Figure, ...]:
    totals = answer["totals"]
    return (
        Figure(label="Spend", value=totals["cost_usd"], kind="usd"),
        Figure(label="Tokens", value=totals["tokens"], kind="count"),
        Figure(label="Calls", value=totals["calls"], kind="count"),
    )


def _tools(answer: dict[str, Any], by: str) -> Chart | None:
    return bars(
        answer, (by,), [("definitions_usd", "definitions"), ("results_usd", "calls and results"),
                        ("undivided_usd", "not divided")],
        name="tools", title=f"Tool tax by {by}",
        words="Dollars of definitions and of calls and results of tools.",
    )  # fmt: skip


def _tools_figures(answer: dict[str, Any]) -> tuple[Figure, ...]:
    totals = answer["totals"]
    return (
        Figure(label="Tools in requests", value=totals["tool_usd"], kind="usd"),
        Figure(label="Of spend", value=totals["tool_percent"], kind="percent"),
        Figure(label="Definitions", value=totals["definitions_usd"], kind="usd"),
        Figure(label="Calls and results", value=totals["results_usd"], kind="usd"),
        Figure(label="Built-in tools", value=totals["built_in_usd"], kind="usd"),
    )


def _tools_named(context: PageContext, answer: dict[str, Any], by: str) -> list[Section]:
    del context, by
    columns = (
        Column("tool", "Tool", "name"), Column("uses", "Executions", "count"),
        Column("errors", "Errors", "count"), Column("cost_usd", "Tool layer around it", "usd"),
    )  # fmt: skip
    return [
        plain_table(
            "named", "Tools by name", columns, answer["named"],
            empty="No trace in this range tells of an execution of a tool. The SDK's tool scopes "
                  "and OpenTelemetry spans with gen_ai.tool.name do.",
        ),
        plain_table(
            "built_in", "Built-in tools of providers", (columns[0], Column("uses", "Uses", "count"),
                                                        Column("cost_usd", "Fees", "usd")),
            answer["built_in"], empty="No fees of built-in tools in this range.",
        ),
    ]  # fmt: skip


def _memory(answer: dict[str, Any], by: str) -> Chart | None:
    return bars(
        answer, (by,), [("context_usd", "cost of context")], name="context",
        title=f"Cost of memory and context by {by}", words="Dollars of the context layer.",
    )  # fmt: skip


def _memory_figures(answer: dict[str, Any]) -> tuple[Figure, ...]:
    totals = answer["totals"]
    return (
        Figure(label="Cost of context", value=totals["context_usd"], kind="usd"),
        Figure(label="Answers cost less by", value=totals["answer_difference_usd"], kind="amount",
               note="a correlation, not an effect"),
        Figure(label="Calls with context", value=totals["with_calls"], kind="count"),
        Figure(label="Calls without", value=totals["without_calls"], kind="count"),
    )  # fmt: skip


def _operational(answer: dict[str, Any], by: str) -> Chart | None:
    return bars(
        answer, (by,), [("last_day_usd", "last 24 hours")], name="day",
        title=f"The last 24 hours by {by}", words="Dollars of the last 24 hours.",
    )  # fmt: skip


def _operational_figures(answer: dict[str, Any]) -> tuple[Figure, ...]:
    totals = answer["totals"]
    return (
        Figure(label="Last hour", value=totals["last_hour_usd"], kind="usd"),
        Figure(label="This hour of the day, usually", value=totals["same_hour_usd"], kind="usd",
               note="average of 30 days"),
        Figure(label="Average hour", value=totals["baseline_hour_usd"], kind="usd",
               note="of 30 days"),
        Figure(label="Last 24 hours", value=totals["last_day_usd"], kind="usd",
               change_percent=totals["deviation_percent"],
               note="against a day of the seven before"),
    )  # fmt: skip


def _dearest(context: PageContext, answer: dict[str, Any], by: str) -> list[Section]:
    rows = [
        row | {"_links": {"call_id": context.url("/call", id=row["call_id"])}}
        for row in answer["top_calls"]
    ]
    calls = plain_table(
        "top_calls", "Dearest calls of the last 24 hours",
        (
            Column(by, by.capitalize(), "name"), Column("call_id", "Call", "id"),
            Column("called_at", "When", "time"), Column("tenant", "Tenant", "name"),
            Column("model", "Model", "name"), Column("input_tokens", "Input", "count"),
            Column("output_tokens", "Output", "count"), Column("cost_usd", "Cost", "usd"),
        ),
        rows, note="The three dearest of each group.",
    )  # fmt: skip
    keys = answer["keys"]
    columns = tuple(Column(name, name.replace("_", " ").capitalize()) for name in _key_names(keys))
    near = plain_table(
        "keys", "Keys near their cap", columns or (Column("owner", "Key"),), keys,
        empty="No key has spent 80 % of a budget of its own.",
    )  # fmt: skip
    return [calls, near]


def _key_names(keys: list[dict[str, Any]]) -> list[str]:
    wanted = ("budget", "name", "owner", "limit", "spent", "left", "percent", "state", "resets_at")
    return [name for name in wanted if keys and name in keys[0]]


SPEND: Final = (
    Shape("change", "Why spend changed", _CHANGE, _change, _change_figures, by="tenant",
          above=_drivers, rare=("new_usd", "gone_usd", "other_usd", "cache_usd", "price_usd"),
          fields=(("against", "Against", ""),)),
    Shape("operational", "Operations", (
        Column("last_hour_usd", "Last hour", "usd"), Column("same_hour_usd", "Usually", "usd"),
        Column("burn_percent", "Of usual", "percent"),
        Column("last_day_usd", "Last 24 h", "usd"), Column("baseline_day_usd", "A day", "usd"),
        Column("deviation_percent", "Deviation", "change"),
        Column("p99_request_usd", "p99 of a request", "amount"),
        Column("requests", "Requests", "count"),
    ), _operational, _operational_figures, by="feature", more=_dearest, since="24h"),
    Shape("skew", "Skew", (
        Column("rank", "Rank", "count"), Column("calls", "Calls", "count"),
        Column("cost_usd", "Cost", "usd"), Column("cost_percent", "Share", "share"),
        Column("cumulative_percent", "Together", "percent"),
    ), _skew, _skew_figures, by="tenant"),
    Shape("units", "Unit costs", (
        Column("units", "Number", "count"), Column("quantity", "Quantity"),
        Column("cost_usd", "Cost", "usd"), Column("cost_per_unit_usd", "Cost of one", "usd"),
        Column("change_percent", "Change", "change"), Column("p50_usd", "p50", "amount"),
        Column("p95_usd", "p95", "amount"), Column("p99_usd", "p99", "amount"),
        Column("largest_usd", "Largest", "amount"),
    ), _units, _units_figures, by="feature", fields=(("unit", "One", "request"),),
       empty="No call in this range names such a unit. Requests are named by request.id, runs "
             "by agent.run.id; see Getting started."),
    Shape("layers", "Layers over time", (
        Column("layer", "Layer"), Column("tokens", "Tokens", "count"),
        Column("tokens_percent", "Tokens %", "percent"), Column("cost_usd", "Cost", "usd"),
        Column("cost_percent", "Cost %", "percent"),
    ), _layers, _layers_figures, by="day",
       choices=(("day", "day"), ("week", "week"), ("month", "month")), has_limit=False),
    Shape("tool_tax", "Tool tax", (
        Column("calls", "Calls with tools", "count"), Column("tool_tokens", "Tokens", "count"),
        Column("tool_usd", "Tools", "usd"), Column("definitions_usd", "Definitions", "usd"),
        Column("results_usd", "Calls and results", "usd"),
        Column("undivided_usd", "Not divided", "usd"), Column("cost_usd", "All spend", "usd"),
        Column("tool_percent", "Tools %", "percent"),
    ), _tools, _tools_figures, by="feature", more=_tools_named,
       rare=("undivided_usd",), empty="No request in this range carries tools."),
    Shape("memory_roi", "Memory and context", (
        Column("with_calls", "Calls with", "count"), Column("without_calls", "Without", "count"),
        Column("context_usd", "Cost of context", "usd"),
        Column("with_cost_per_call_usd", "A call with", "amount"),
        Column("without_cost_per_call_usd", "A call without", "amount"),
        Column("with_answer_tokens", "Answer with", "count"),
        Column("without_answer_tokens", "Answer without", "count"),
        Column("with_error_percent", "Errors with", "percent"),
        Column("without_error_percent", "Errors without", "percent"),
        Column("answer_difference_usd", "Answers less by", "amount"),
        Column("net_usd", "Net", "amount"),
    ), _memory, _memory_figures, by="feature",
       empty="No request in this range is known to carry memories or retrieved chunks."),
)  # fmt: skip
