"""Allocation: who bears shared cost, previewed, compared with what is booked, and booked."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from tollbook.console.pages.allocation_forms import cost_form, metric_form, policy_form, run_form
from tollbook.console.pages.finance_parts import (
    answered,
    calls_url,
    columns,
    command,
    figures,
    month_controls,
    month_of,
    permitted,
    pico,
    shares_percent,
    sliced,
)
from tollbook.console.pages.page import Page
from tollbook.console.pages.view import Field, Figure, Notice, Table, View
from tollbook.desk.permits import Permit, Scope
from tollbook.money import usd_text
from tollbook.reports.dimensions import UNKNOWN

if TYPE_CHECKING:
    from tollbook.console.pages.context import PageContext
    from tollbook.console.pages.view import Section

DEFAULT_POLICY: Final = "default"
_OWNERS: Final = 25


def allocation(context: PageContext) -> View:
    """Return what a policy moves in a month, beside what is booked of it."""
    month = month_of(context)
    policies = answered(context, "allocate.policies")
    names = sorted({row["name"] for row in policies.rows})
    policy = context.get("policy") or _usual(names)
    booked = answered(context, "allocate.show", period=month)
    sections: list[Section] = [*booked.notices("bad")]
    if names:
        preview = answered(context, "allocate.preview", period=month, policy=policy,
                           version=context.get("version"))  # fmt: skip
        sections += preview.notices("bad")
        if preview.problem is None:
            sections += _preview(context, preview.answer, booked.rows, month)
            sections += permitted(context, run_form(month, policy, context.get("version")))
    else:
        sections.append(Notice(
            text="No allocation policy is kept: cost without an owner stays without one. Import a "
            "policy below.",
        ))  # fmt: skip
    sections += [_booked(booked.answer), *_costs(context, month), _policies(context, policies.rows)]
    sections += _metrics(context)
    sections += permitted(context, policy_form(policy, month), cost_form(month), metric_form())
    chosen = (
        Field(name="policy", label="Policy", kind="select", value=policy,
              options=tuple((name, name) for name in names) or ((policy, policy),)),
        Field(name="version", label="Version", value=context.get("version"),
              placeholder="in force"),
    )  # fmt: skip
    return View(
        title="Allocation", sections=tuple(sections), tz=context.tz,
        subtitle=f"{month}: who bears cost that has no owner of its own.",
        controls=month_controls(context, *chosen),
        command=command("allocate", "preview", period=month, policy=policy),
    )  # fmt: skip


def _usual(names: list[str]) -> str:
    return names[0] if names and DEFAULT_POLICY not in names else DEFAULT_POLICY


def _preview(
    context: PageContext, answer: dict[str, Any], booked: list[dict[str, Any]], month: str
) -> list[Section]:
    rows = answer["rows"]
    taken = sum(pico(row, "cost_usd") for row in rows if row["role"] == "origin")
    whole = sum(pico(row, "cost_usd") for row in rows)
    changed = _changes(rows, booked)
    return [
        *(Notice(text=problem) for problem in answer["problems"]),
        figures(
            Figure(label="Moved", value=usd_text(-taken), kind="usd"),
            Figure(label="Sum of all parts", value=usd_text(whole), kind="usd",
                   tone="bad" if whole else "good", note="0: no total changes"),
            Figure(label="Differs from what is booked", value=len(changed), kind="count",
                   note="owners", tone="warn" if changed else "good"),
            Figure(label="Policy", value=answer["policy"].partition("/")[2]),
        ),
        _rules(rows),
        _owners(context, answer["owners"], month),
        _diff(context, changed, month),
    ]  # fmt: skip


def _rules(rows: list[dict[str, Any]]) -> Table:
    """Return by rule what it takes and gives; the parts of each come to exactly 100 %."""
    rules: dict[str, dict[str, Any]] = {}
    for row in rows:
        one = rules.setdefault(row["rule"], {"method": row["method"], "taken": 0, "parts": {}})
        amount = pico(row, "cost_usd")
        if row["role"] == "origin":
            one["taken"] -= amount
        else:
            parts = one["parts"]
            parts[row["tenant"]] = parts.get(row["tenant"], 0) + amount
    told = []
    for name, one in rules.items():
        parts = list(one["parts"].values())
        percent = [Decimal(text) for text in shares_percent(parts)]
        told.append({
            "rule": name, "method": one["method"], "taken_usd": usd_text(one["taken"]),
            "given_usd": usd_text(sum(parts)), "receivers": len(parts),
            "largest_percent": f"{max(percent, default=0)}",
            "sum_percent": f"{sum(percent)}",
        })  # fmt: skip
    return Table(
        name="rules", title="Rules", rows=told,
        note="In order: a later rule sees what an earlier one moved.",
        empty="The policy moves nothing in this month.",
        columns=columns(
            ("rule", "Rule"), ("method", "Method"), ("taken_usd", "Taken", "usd"),
            ("given_usd", "Given", "usd"), ("receivers", "Receivers", "count"),
            ("largest_percent", "Largest part", "percent"), ("sum_percent", "Sum", "percent"),
        ),
    )  # fmt: skip


def _owners(context: PageContext, owners: list[dict[str, Any]], month: str) -> Table:
    given = [row for row in owners if pico(row, "moved_usd") > 0]
    percent = dict(zip(
        (row["tenant"] for row in given),
        shares_percent([pico(row, "moved_usd") for row in given]), strict=True,
    ))  # fmt: skip
    ordered = sorted(owners, key=lambda row: (-abs(pico(row, "moved_usd")), row["tenant"]))
    shown = sliced(context, [
        row | {
            "part_percent": percent.get(row["tenant"]),
            "_links": {"tenant": calls_url(context, month, {"tenant": _tenant(row["tenant"])})},
        }
        for row in ordered
    ], size=_OWNERS)  # fmt: skip
    totals = {name: usd_text(sum(pico(row, name) for row in owners))
              for name in ("before_usd", "moved_usd", "after_usd")}  # fmt: skip
    return Table(
        name="owners", title="Owners", rows=shown.rows, next_url=shown.next_url,
        previous_url=shown.previous_url,
        total=totals | {"part_percent": "100" if given else None},
        note="The parts of those who bear more add up to 100 % (by largest remainder); amounts "
        "add up exactly.", empty="Nobody has cost in this month.",
        columns=columns(
            ("tenant", "Tenant", "name"), ("before_usd", "Before", "usd"),
            ("moved_usd", "Moved", "usd"), ("after_usd", "After", "usd"),
            ("part_percent", "Part", "percent"),
        ),
    )  # fmt: skip


def _tenant(name: str | None) -> str | None:
    return None if name == UNKNOWN else name


def _changes(
    rows: list[dict[str, Any]], booked: list[dict[str, Any]]
) -> list[tuple[str | None, int, int]]:
    """Return tenants whose amount is not what is booked, with both, the greatest change first."""
    sums: dict[str | None, list[int]] = {}
    for side, lines in enumerate((booked, rows)):
        for row in lines:
            sums.setdefault(row["tenant"], [0, 0])[side] += pico(row, "cost_usd")
    changed = [(name, was, now) for name, (was, now) in sums.items() if was != now]
    return sorted(changed, key=lambda one: -abs(one[2] - one[1]))


def _diff(context: PageContext, changed: list[tuple[str | None, int, int]], month: str) -> Table:
    shown = sliced(context, [
        {"tenant": name, "booked_usd": usd_text(was), "preview_usd": usd_text(now),
         "change_usd": usd_text(now - was),
         "_links": {"tenant": calls_url(context, month, {"tenant": name})}}
        for name, was, now in changed
    ], "diff_from", _OWNERS)  # fmt: skip
    return Table(
        name="diff", title="Against what is booked", rows=shown.rows, next_url=shown.next_url,
        previous_url=shown.previous_url,
        empty="Booking it would move nothing: what is booked is what the policy says.",
        columns=columns(
            ("tenant", "Tenant", "name"), ("booked_usd", "Booked", "usd"),
            ("preview_usd", "Preview", "usd"), ("change_usd", "Change", "usd"),
        ),
    )  # fmt: skip


def _booked(answer: dict[str, Any]) -> Table:
    return Table(
        name="runs", title="Booked runs", rows=answer.get("runs", []),
        note="A run books the difference to the one before it; the last is in force.",
        empty="No allocation was booked for this month.",
        columns=columns(
            ("run_id", "Run", "id"), ("policy", "Policy", "id"), ("booked", "Entries", "count"),
            ("at", "When", "time"), ("author", "By"),
        ),
    )  # fmt: skip


def _costs(context: PageContext, month: str) -> list[Section]:
    found = answered(context, "allocate.costs", period=month)
    return [Table(
        name="costs", title="Shared costs that were typed in", rows=found.rows,
        empty="None for this month: enter what the gateway or a licence costs below.",
        columns=columns(("name", "Name"), ("owner", "Owner"), ("cost_usd", "Cost", "usd")),
    )]  # fmt: skip


def _policies(context: PageContext, rows: list[dict[str, Any]]) -> Table:
    told = [
        row | {"rules": ", ".join(rule["name"] for rule in row["body"]["rules"]),
               "_links": {"name": context.url(policy=row["name"], version=row["version"])}}
        for row in reversed(rows)
    ]  # fmt: skip
    return Table(
        name="policies", title="Policies, the newest version first", rows=told,
        empty="No policy is kept yet.",
        columns=columns(
            ("name", "Policy"), ("version", "Version", "count"), ("effective_from", "From", "time"),
            ("rules", "Rules"), ("author", "By"), ("reason", "Reason"),
            ("created_at", "Kept", "time"),
        ),
    )  # fmt: skip


def _metrics(context: PageContext) -> list[Section]:
    found = answered(context, "allocate.metrics")
    if not found.rows:
        return []
    return [Table(
        name="metrics", title="Metrics", rows=found.rows,
        columns=columns(("name", "Metric"), ("version", "Version", "count"), ("unit", "Unit"),
                        ("aggregate", "Of a month"), ("rows", "Rows", "count"),
                        ("author", "By"), ("reason", "Reason")),
    )]  # fmt: skip


_SEEN: Final = Permit(Scope.FINANCE)
PAGES: Final = (Page("/allocation", "Allocation", allocation, _SEEN, "Finance"),)
