"""The result of an audit: the score, the dollars at risk, and what was found."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, Final

from tollbook.audit.outputs import words
from tollbook.audit.outputs.html_charts import tone
from tollbook.audit.outputs.no_findings import nothing_found
from tollbook.console.pages.charts import ranked_bars
from tollbook.console.pages.trace_audit.read import read_sections
from tollbook.console.pages.trace_audit.waiting import TRAIL, files_words
from tollbook.console.pages.view import (
    Chart,
    Choice,
    Column,
    Figure,
    Figures,
    Grid,
    Notice,
    Table,
    View,
)
from tollbook.money import usd_text

if TYPE_CHECKING:
    from tollbook.audit.report import Audit, Defensibility
    from tollbook.console.audits.jobs import Job
    from tollbook.console.pages.context import PageContext
    from tollbook.console.pages.view import Section, Tone

_FINDINGS: Final = (
    Column("severity", "Severity", "state"), Column("title", "Finding"), Column("mode", "Mode"),
    Column("rule", "Rule", "code"), Column("calls", "Calls", "count"),
    Column("cost_usd", "Cost", "usd"), Column("unpriced_calls", "Unpriced", "count"),
    Column("score_after", "Score after", help="of 100, were this one mended"),
    Column("fix", "Fix"),
)  # fmt: skip
_AT_RISK: Final = (
    Column("cause", "Cause"), Column("calls", "Calls", "count"), Column("cost_usd", "Cost", "usd"),
    Column("unpriced_calls", "Unpriced", "count"),
)  # fmt: skip
_CRITERIA: Final = (
    Column("title", "A call has"), Column("calls", "Calls", "count"),
    Column("share", "Share", "share"), Column("weight", "Weight", help="of 100"),
    Column("missing_usd", "Cost of the others", "usd"),
)  # fmt: skip
_SERVICES: Final = (
    Column("service", "Service"), Column("calls", "Calls", "count"),
    Column("unowned", "No owner", "count"),
)  # fmt: skip
_BAR_PX: Final = 30
_CHART_MIN_PX: Final = 120


def result_view(context: PageContext, job: Job, audit: Audit) -> View:
    """Return the result of an audit."""
    sections: list[Section] = []
    if not audit.calls:
        sections.append(Notice(text="None of the spans is a call to a model: nothing to judge."))
    else:
        sections += [_figures(audit), _charts(audit)]
    sections.append(_findings(job, audit))
    if audit.calls:
        told = audit.defensibility
        sections += [_criteria(told), _at_risk(told), _services(audit)]
    sections += read_sections(audit)
    base = f"/trace-audit/report?id={job.job_id}&format="
    return View(
        title="Trace audit", subtitle=files_words(job), tz=context.tz, trail=TRAIL,
        sections=tuple(sections), command=command_of(job),
        actions=tuple(
            Choice(label, base + form)
            for label, form in (
                ("HTML report", "html"), ("With names", "html&show_names=true"), ("SARIF", "sarif"),
                ("JSON", "json&full=true"),
            )
        ),
    )  # fmt: skip


def command_of(job: Job) -> str:
    """Return the command that says the same."""
    return " ".join(["tollbook", "audit", *(shlex.quote(one) for one in job.files)])


def _figures(audit: Audit) -> Figures:
    told = audit.defensibility
    score_tone: Tone = tone(told.score_millis)
    share = words.share(told.at_risk_pico, told.cost_pico)
    return Figures(items=(
        Figure(label="Score", value=words.score(told.score_millis), tone=score_tone,
               note="of 100: could these charges be defended?"),
        Figure(label="At risk", value=usd_text(told.at_risk_pico), kind="usd",
               note=f"{share} of {words.usd(told.cost_pico)}"),
        Figure(label="Defensible calls", value=told.defensible_calls, kind="count",
               note=f"of {words.count(told.calls)}"),
        Figure(label="Without a price", value=told.unpriced_calls, kind="count",
               note="in no sum of dollars", tone="warn" if told.unpriced_calls else "plain"),
        Figure(label="Spans", value=audit.spans, kind="count",
               note=f"in {words.count(audit.traces, 'trace')}"),
    ))  # fmt: skip


def _charts(audit: Audit) -> Grid:
    parts = audit.defensibility.at_risk
    at_risk = [{"cause": one.title, "cost_usd": usd_text(one.cost_pico)} for one in parts]
    services = [
        {"service": name, "calls": number, "owner": owner}
        for name, calls in audit.services.items()
        for owner, number in _owned(calls, audit.unowned_services.get(name, 0))
    ]
    told = ", ".join(f"{one.title} {words.usd(one.cost_pico)}" for one in parts)
    return Grid(sections=(
        Chart(name="at_risk", title="At risk, by cause", values=at_risk,
              spec=ranked_bars("cause", "cost_usd", title="dollars that could not be defended"),
              summary=f"Dollars at risk by cause: {told or 'none'}.", height=_height(len(parts))),
        Chart(name="services", title="Calls by service", values=services,
              spec=ranked_bars("service", "calls", "owner", title="calls", kind="count",
                               order=[_WITH, _WITHOUT]),
              summary="Calls of each service, with and without an owner.",
              height=_height(len(audit.services))),
    ))  # fmt: skip


_WITH: Final = "with an owner"
_WITHOUT: Final = "no owner"


def _owned(calls: int, unowned: int) -> tuple[tuple[str, int], tuple[str, int]]:
    return (_WITH, calls - unowned), (_WITHOUT, unowned)


def _height(bars: int) -> int:
    return max(_CHART_MIN_PX, 60 + _BAR_PX * bars)


def _findings(job: Job, audit: Audit) -> Table:
    rows: list[dict[str, Any]] = []
    for one in audit.findings:
        after = None if one.score_after is None else words.score(one.score_after)
        link = f"/trace-audit?id={job.job_id}&finding={one.finding_id}"
        row: dict[str, Any] = {
            "severity": one.severity.value, "title": one.title, "mode": words.MODES[one.mode],
            "rule": one.rule, "calls": one.calls, "cost_usd": usd_text(one.cost_pico),
            "unpriced_calls": one.unpriced_calls, "score_after": after,
            "fix": None if one.fix is None else one.fix.title,
            "finding_id": one.finding_id, "_links": {"title": link},
        }  # fmt: skip
        rows.append(row)
    return Table(
        name="findings", title="Findings", columns=_FINDINGS, rows=rows,
        note="The gravest and dearest first; each leads to its hop, its spans and its fix.",
        empty=nothing_found(audit),
    )  # fmt: skip


def _criteria(told: Defensibility) -> Table:
    return Table(
        name="criteria", title="What the score is made of", columns=_CRITERIA, note=told.formula,
        rows=[
            {"title": one.title, "calls": one.calls, "weight": words.score(one.weight_millis),
             "share": one.calls * 100 // told.calls if told.calls else None,
             "missing_usd": usd_text(one.cost_pico)}
            for one in told.criteria
        ],
    )  # fmt: skip


def _at_risk(told: Defensibility) -> Table:
    rows = [
        {"cause": one.title, "calls": one.calls, "cost_usd": usd_text(one.cost_pico),
         "unpriced_calls": one.unpriced_calls}
        for one in told.at_risk
    ]  # fmt: skip
    return Table(
        name="at_risk", title="At risk, by cause", columns=_AT_RISK, rows=rows, is_folded=True,
        note="Each call is booked to one cause.", empty="No dollar is at risk.",
        total={"cost_usd": usd_text(told.at_risk_pico)},
    )  # fmt: skip


def _services(audit: Audit) -> Table:
    return Table(
        name="services", title="Calls by service", columns=_SERVICES, is_folded=True,
        rows=[
            {"service": name, "calls": calls, "unowned": audit.unowned_services.get(name, 0)}
            for name, calls in audit.services.items()
        ],
    )  # fmt: skip
