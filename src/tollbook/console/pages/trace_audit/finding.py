"""One finding: its hop, one of its traces with the break marked, its spans and its fix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook.audit.outputs import words
from tollbook.audit.outputs.html_findings import crossing_words
from tollbook.console.audits.errors import NoSuchAuditError
from tollbook.console.pages.charts import waterfall
from tollbook.console.pages.trace_audit.result import command_of
from tollbook.console.pages.trace_audit.waiting import files_words
from tollbook.console.pages.view import (
    Chart,
    Choice,
    Column,
    Figure,
    Figures,
    Notice,
    Table,
    Text,
    View,
)
from tollbook.money import usd_text

if TYPE_CHECKING:
    from tollbook.audit.findings import Advice, Bar, Finding, Hop, Sketch, SpanRef
    from tollbook.audit.report import Audit
    from tollbook.console.audits.jobs import Job
    from tollbook.console.pages.context import PageContext
    from tollbook.console.pages.view import Section

_HOP: Final = (
    Column("what", "Identity is"), Column("name", "Span"), Column("service", "Service"),
    Column("scope", "Instrumentation", "code"), Column("span_id", "Span id", "code"),
    Column("place", "Read from", "code"),
)  # fmt: skip
_SPANS: Final = (
    Column("name", "Span"), Column("service", "Service"), Column("owner", "Owner", "name"),
    Column("mark", "Here", "state"), Column("start_s", "From", "seconds"),
    Column("duration_s", "Took", "seconds"),
)  # fmt: skip
_EVIDENCE: Final = (
    Column("name", "Span"), Column("service", "Service"), Column("trace_id", "Trace id", "code"),
    Column("span_id", "Span id", "code"), Column("place", "Read from", "code"),
)  # fmt: skip
_MARKS: Final = {
    "last-seen": ("owner last seen", "good"), "first-missing": ("owner first missing", "bad"),
    "affected": ("affected", "bad"),
}  # fmt: skip
_NOBODY: Final = "no owner"
_CALL_OF_NOBODY: Final = "a call without an owner"
_RED_AT: Final = 5
_GREY_AT: Final = 8
"""Which of the theme's series are red and grey, counted from 0 (``--series-6``, ``--series-9``)."""
_US_PER_MS: Final = 1000
_BARS_MIN: Final = 2
_BAR_PX: Final = 22


def finding_view(context: PageContext, job: Job, audit: Audit, finding_id: str) -> View:
    """Return one finding.

    Raises:
        NoSuchAuditError: the audit has no such finding.
    """
    one = next((each for each in audit.findings if each.finding_id == finding_id), None)
    if one is None:
        raise NoSuchAuditError
    sections: list[Section] = [_figures(one, audit)]
    if one.hop is not None:
        sections.append(_hop(one.hop))
    if one.sketch is not None and one.sketch.bars:
        sections += _trace(one.sketch, one.hop)
    sections.append(_evidence(one))
    if one.fix is not None:
        sections += _fix(one.fix)
    return View(
        title=one.title, subtitle=f"{words.MODES[one.mode]}, rule {one.rule}", tz=context.tz,
        sections=tuple(sections), command=command_of(job),
        trail=(Choice("Trace audit", "/trace-audit"),
               Choice(files_words(job), f"/trace-audit?id={job.job_id}")),
    )  # fmt: skip


def _figures(one: Finding, audit: Audit) -> Figures:
    told = [
        Figure(label="Severity", value=words.SEVERITIES[one.severity],
               tone={"error": "bad", "warning": "warn"}.get(one.severity.value, "plain")),  # type: ignore[arg-type]  # words of tones
        Figure(label="Calls", value=one.calls, kind="count",
               note=f"{words.count(one.hits, 'time')} in {words.count(one.traces, 'trace')}"),
        Figure(label="Cost of them", value=usd_text(one.cost_pico), kind="usd",
               note=f"{words.count(one.unpriced_calls, 'call')} unpriced" if one.unpriced_calls
               else None),
    ]  # fmt: skip
    if one.framework:
        told.append(Figure(label="Recognised", value=one.framework))
    if one.factor_millis is not None:
        told.append(Figure(label="Sums are wrong by up to", tone="warn",
                           value=f"{words.factor(one.factor_millis)} times"))  # fmt: skip
    if one.score_after is not None:
        now = words.score(audit.defensibility.score_millis)
        told.append(Figure(label="Score after the fix", value=words.score(one.score_after),
                           tone="good", note=f"from {now}"))  # fmt: skip
    return Figures(items=tuple(told))


def place(ref: SpanRef) -> str:
    """Return the file and line that a span was read from."""
    return ref.source if ref.line is None else f"{ref.source}:{ref.line}"


def _hop(hop: Hop) -> Table:
    last, first = ("of one", "of another") if hop.is_change else ("last seen", "first missing")
    ends = [(f"{first}, {crossing_words(hop)}", hop.first_missing, "bad")]
    if hop.last_seen is not None:
        ends.insert(0, (last, hop.last_seen, "good"))
    rows = [
        {"what": what, "name": ref.name, "service": ref.service, "scope": ref.scope,
         "span_id": ref.span_id, "place": place(ref), "_tone": tone}
        for what, ref, tone in ends
    ]  # fmt: skip
    note = None if hop.last_seen is not None else "No span before it names an owner."
    return Table(name="hop", title="Where it is lost", columns=_HOP, rows=rows, note=note)


def _trace(sketch: Sketch, hop: Hop | None) -> list[Section]:
    left_out = f", {words.count(sketch.left_out, 'span')} left out" if sketch.left_out else ""
    rows = [_row(bar) for bar in sketch.bars]
    table = Table(
        name="trace",
        title="One such trace",
        columns=_SPANS,
        rows=rows,
        note=f"Trace {sketch.trace_id}{left_out}.",
    )
    if len(sketch.bars) < _BARS_MIN:
        return [table]
    values = [
        {"name": f"{number} {bar.name}", "from_ms": bar.start_us / _US_PER_MS,
         "to_ms": (bar.start_us + bar.duration_us) / _US_PER_MS,
         "owner": bar.owner or (_CALL_OF_NOBODY if bar.is_call else _NOBODY)}
        for number, bar in enumerate(sketch.bars, 1)
    ]  # fmt: skip
    how = "changes" if hop is not None and hop.is_change else "is lost"
    lost = "" if hop is None else f" The owner {how} {crossing_words(hop)}."
    chart = Chart(
        name="waterfall",
        title="When what ran, and whose it was",
        values=values,
        spec=_spec([str(value["owner"]) for value in values]),
        summary=f"{words.count(len(values), 'span')} of one trace over time.{lost}",
        height=60 + _BAR_PX * len(values),
    )
    return [chart, table]


def _spec(owners: list[str]) -> dict[str, Any]:
    """Return the chart's specification: what has no owner is red or grey, and no owner is."""
    named = [one for one in dict.fromkeys(owners) if one not in (_NOBODY, _CALL_OF_NOBODY)]
    padded = named + [f"\N{ZERO WIDTH SPACE}{number}" for number in range(_GREY_AT)]
    spec = waterfall("name", "from_ms", "to_ms", "owner", title="milliseconds since the first")
    colour = spec["encoding"]["color"]
    order = [
        *padded[:_RED_AT], _CALL_OF_NOBODY, *padded[_RED_AT:_GREY_AT - 1], _NOBODY,
        *named[_GREY_AT - 1:],
    ]  # fmt: skip
    colour["scale"] = {"domain": order}
    colour["legend"] = colour["legend"] | {"values": [one for one in order if one in owners]}
    return spec


def _row(bar: Bar) -> dict[str, Any]:
    told, tone = _MARKS.get(bar.mark, (None, None))
    row: dict[str, Any] = {
        "name": bar.name, "service": bar.service, "owner": bar.owner, "mark": told,
        "start_s": _seconds(bar.start_us), "duration_s": _seconds(bar.duration_us),
        "_depth": max(bar.depth, 0),
    }  # fmt: skip
    return row if tone is None else row | {"_tone": tone}


def _seconds(us: int) -> str:
    whole, part = divmod(max(us, 0), 1_000_000)
    return f"{whole}.{part:06d}"


def _evidence(one: Finding) -> Table:
    rows = [
        {"name": ref.name, "service": ref.service, "trace_id": ref.trace_id,
         "span_id": ref.span_id, "place": place(ref)}
        for ref in one.evidence
    ]  # fmt: skip
    return Table(
        name="evidence",
        title="Evidence",
        columns=_EVIDENCE,
        rows=rows,
        is_folded=True,
        note=f"{words.count(len(rows), 'span')} of {words.count(one.hits, 'occurrence')}.",
    )


def _fix(fix: Advice) -> list[Section]:
    is_link = fix.page.startswith("https://")
    page = f"\n\nRead on: {fix.page}" if fix.page and not is_link else ""
    sections: list[Section] = [
        Notice(text=f"Smallest fix: {fix.title}.", tone="good",
               url=fix.page if is_link else None, action="Read on"),
        Text(text=f"{fix.why}{page}"),
    ]  # fmt: skip
    if fix.snippet:
        sections.append(Text(title="What to write", text=fix.snippet, is_code=True))
    if fix.with_tollbook:
        sections.append(Text(title="The same with Tollbook", text=fix.with_tollbook, is_code=True))
    return sections
