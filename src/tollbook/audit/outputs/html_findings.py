"""Findings: the list of all, and each with its hop, evidence, trace and fix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from tollbook.audit.outputs import words
from tollbook.audit.outputs.html_charts import arrow
from tollbook.audit.outputs.html_summary import cost_cell
from tollbook.audit.outputs.html_waterfall import waterfall
from tollbook.audit.outputs.markup import Html, el, join

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.audit.findings import Advice, Finding, Hop, Severity, SpanRef
    from tollbook.audit.outputs.html_waterfall import Palette
    from tollbook.audit.outputs.redaction import Names

OPEN_MAX: Final = 3
"""So many findings are open from the start; all are on paper."""


class Drawn(NamedTuple):
    """How a report is drawn."""

    names: Names
    palette: Palette
    score_millis: int
    """Before anything is mended."""


def overview(findings: Sequence[Finding], drawn: Drawn, linked_max: int) -> Html:
    """Return all findings as a table; the first ``linked_max`` lead to a part of their own."""
    head = el(
        "tr", el("th", "Finding", scope="col"),
        el("th", "Calls", scope="col", class_="number-cell"),
        el("th", "Cost of them", scope="col", class_="number-cell"),
        el("th", "Score after", scope="col", class_="number-cell roomy"),
    )  # fmt: skip
    rows = (
        el(
            "tr",
            el("td", el("a", drawn.names.text(one.title),
                     href=f"#{anchor(one)}" if number < linked_max else None), el("br"),
               severity(one.severity), " ",
               el("span", f"{words.MODES[one.mode]} \N{MIDDLE DOT} {one.rule}",
                  class_="small muted")),
            el("td", words.count(one.calls), class_="number-cell"),
            cost_cell(one.cost_pico, one.unpriced_calls, one.calls),
            el("td", words.NOTHING if one.score_after is None else words.score(one.score_after),
               class_="number-cell roomy"),
        )
        for number, one in enumerate(findings)
    )  # fmt: skip
    table = el("table", el("thead", head), el("tbody", rows), class_="fits")
    return el("div", table, class_="card")


def finding(one: Finding, drawn: Drawn, *, is_open: bool) -> Html:
    """Return a finding, folded unless it is to be open."""
    seen = f"{words.count(one.hits, 'time')} in {words.count(one.traces, 'trace')}"
    facts = [
        words.MODES[one.mode], one.rule, words.count(one.calls, "call"),
        words.cost(one.cost_pico, one.unpriced_calls, one.calls), seen,
    ]  # fmt: skip
    if one.framework:
        facts.append(f"recognised: {one.framework}")
    if one.factor_millis is not None:
        facts.append(f"sums up to {words.factor(one.factor_millis)} times what they should be")
    summary = el(
        "summary", severity(one.severity), el("h3", drawn.names.text(one.title)),
        el("span", drawn.names.text(" \N{MIDDLE DOT} ".join(facts)), " ",
           el("span", class_="more", aria_hidden="true"), class_="facts small muted"),
    )  # fmt: skip
    inside = el(
        "div",
        None if one.hop is None else hop(one.hop, drawn.names),
        _trace(one, drawn),
        evidence(one, drawn.names),
        None if one.fix is None else _fix(one.fix, one.score_after, drawn),
        class_="inside",
    )  # fmt: skip
    return el("details", summary, inside, class_="finding", id=anchor(one), open=is_open)


def anchor(one: Finding) -> str:
    """Return the id of a finding's part."""
    return f"finding-{one.finding_id}"


def severity(value: Severity) -> Html:
    """Return a severity as a tag."""
    return el("span", words.SEVERITIES[value], class_=f"tag {value.value}")


def crossing_words(one: Hop) -> str:
    """Return what lies between, in words; what is not known by name as it is."""
    return words.CROSSINGS.get(one.crossing, one.crossing)


def hop(one: Hop, names: Names) -> Html:
    """Return where identity was last seen, what was crossed, and where it was first missing."""
    crossing = el("div", arrow(), names.text(crossing_words(one)), class_="crossing")
    if one.last_seen is None:
        seen = el("div", el("div", "Never seen", class_="is"),
                  "No span before it names an owner.", class_="span-box")  # fmt: skip
    else:
        seen = _box(one.last_seen, "Last of one owner" if one.is_change else "Last seen", "seen",
                    names)  # fmt: skip
    is_ = "First of another" if one.is_change else "First missing"
    missing = _box(one.first_missing, is_, "missing", names)
    return el("div", seen, crossing, missing, class_="hop")


def _box(ref: SpanRef, is_: str, class_: str, names: Names) -> Html:
    lines = [ref.service and f"service {ref.service}", ref.scope and f"by {ref.scope}"]
    return el(
        "div", el("div", is_, class_="is"), el("strong", names.text(ref.name) or "(no name)"),
        [el("div", names.text(line), class_="small muted") for line in lines if line],
        el("div", "span ", el("code", ref.span_id), class_="small muted"),
        class_=f"span-box {class_}",
    )  # fmt: skip


def _trace(one: Finding, drawn: Drawn) -> Html | None:
    if one.sketch is None or not one.sketch.bars:
        return None
    break_words = "No owner from here on"
    if one.hop is not None and one.hop.last_seen is not None:
        how = "changes" if one.hop.is_change else "is lost"
        break_words = f"The owner {how} {crossing_words(one.hop)}"
    told = waterfall(one.sketch, drawn.names, drawn.palette, drawn.names.text(break_words))
    return join(el("h4", "One such trace"), told)


def evidence(one: Finding, names: Names) -> Html | None:
    """Return the spans that prove a finding, with where each was read."""
    if not one.evidence:
        return None
    labels = ("Span", "Service", "Trace id", "Span id", "Read from")
    head = el("tr", [el("th", label, scope="col") for label in labels])
    rows = (
        el("tr", el("td", names.text(ref.name) or "(no name)"), el("td", names.text(ref.service)),
           el("td", el("code", ref.trace_id)), el("td", el("code", ref.span_id)),
           el("td", place(ref, names)))
        for ref in one.evidence
    )  # fmt: skip
    number = words.count(len(one.evidence), "span")
    title = f"Evidence: {number}" if one.hits <= len(one.evidence) else (
        f"Evidence: {number} of {words.count(one.hits, 'occurrence')}"
    )  # fmt: skip
    table = el("table", el("thead", head), el("tbody", rows), class_="small")
    box = el("div", table, class_="scroll", tabindex=0, role="region", aria_label="Evidence")
    return el("details", el("summary", title), box, class_="plain")


def place(ref: SpanRef, names: Names) -> str:
    """Return the file and line of a span."""
    told = names.source(ref.source) if ref.source else ""
    return f"{told}:{ref.line}" if told and ref.line is not None else told


def _fix(fix: Advice, score_after: int | None, drawn: Drawn) -> Html:
    after = None
    if score_after is not None:
        after = el(
            "p", f"Score after it: {words.score(score_after)}, from "
            f"{words.score(drawn.score_millis)}.", class_="notice good",
        )  # fmt: skip
    page = None
    if fix.page.startswith("https://"):
        page = el("p", "Read on: ", el("a", fix.page, href=fix.page, rel="noreferrer noopener"))
    elif fix.page:
        page = el("p", "Read on: ", el("code", fix.page))
    return join(
        el("h4", "Smallest fix"), el("p", el("strong", drawn.names.text(fix.title))),
        el("p", drawn.names.text(fix.why)),
        _code(fix.snippet, fix.language, "What to write", drawn),
        _with_tollbook(fix, drawn), page, after,
    )  # fmt: skip


def _with_tollbook(fix: Advice, drawn: Drawn) -> Html | None:
    label = "The same with Tollbook"
    code = _code(fix.with_tollbook, fix.with_tollbook_language, label, drawn)
    return None if code is None else join(el("p", label, class_="small muted"), code)


def _code(snippet: str, language: str, label: str, drawn: Drawn) -> Html | None:
    if not snippet:
        return None
    code = el("code", drawn.names.text(snippet), class_=f"language-{language}")
    return el("pre", code, tabindex=0, aria_label=label, role="region")
