"""The report for a terminal: the score, the money, the worst findings and how to mend them.

The first screen has to say it all; everything else is one line each, or asked for with ``--full``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.audit.findings import Severity
from tollbook.audit.outputs import words
from tollbook.audit.outputs.hops import hop_words, place_words, plain, span_words
from tollbook.audit.outputs.no_findings import nothing_found
from tollbook.audit.outputs.reading import read_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tollbook.audit.findings import Finding
    from tollbook.audit.outputs.style import Style
    from tollbook.audit.report import Audit, Defensibility

_COLOURS: Final = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "blue"}
_DETAILED: Final = 3
_LISTED: Final = 12
_EVIDENCE: Final = 3
_SNIPPET_LINES: Final = 10
_GOOD_MILLIS: Final = 900
_FAIR_MILLIS: Final = 600
_BAR: Final = 24
_BAR_MIN: Final = 8


def terminal_text(audit: Audit, style: Style, *, full: bool = False) -> str:
    """Return the report.

    Args:
        audit: the report.
        style: of the terminal.
        full: with every finding, span and snippet, and the formula.
    """
    lines = [*_head(audit, style)]
    if audit.calls:
        lines += _score(audit.defensibility, style, full=full)
        lines += _at_risk(audit.defensibility, style, full=full)
    else:
        lines += _nothing(audit, style)
    lines += _findings(audit, style, full=full)
    lines += read_lines(audit, style, full=full)
    return "\n".join(line.rstrip() for line in lines) + "\n"


def headline(audit: Audit) -> str:
    """Return the result in a sentence, without its full stop."""
    told = audit.defensibility
    return (
        f"Score {words.score(told.score_millis)} of 100,"
        f" {words.usd(told.at_risk_pico)} of {words.usd(told.cost_pico)} at risk,"
        f" {words.count(len(audit.findings), 'finding')} in {words.count(audit.calls, 'call')}"
    )


def _head(audit: Audit, style: Style) -> Iterator[str]:
    told = f"{words.count(audit.calls, 'call')} in {words.count(audit.traces, 'trace')}"
    found = words.count(len(audit.findings), "finding")
    yield style.paint("Tollbook audit", "bold") + f"   {told}   {found}"
    if audit.first_at_ns:
        yield style.paint(
            f"{words.moment(audit.first_at_ns)} to {words.moment(audit.last_at_ns)}", "dim"
        )
    yield ""


def _nothing(audit: Audit, style: Style) -> Iterator[str]:
    if audit.spans:
        yield style.paint("No call of a model was found.", "bold")
        text = (
            f"{words.count(audit.spans, 'span')} were read, and none of them is a call: a span with"
            " gen_ai.operation.name or gen_ai.usage.* (or the same of OpenInference, OpenLLMetry,"
            " Langfuse, the AI SDK and others). Is the client of the model instrumented in these"
            " services?"
        )
    else:
        yield style.paint("No spans were read.", "bold")
        text = (
            "Expected OTLP JSON, JSONL or protobuf (the Collector's file exporter writes it), an"
            " export of Jaeger, Zipkin, Tempo or another tool, or a log of calls with --mapping."
        )
    yield from style.wrap(text)
    if audit.services:
        yield from style.wrap(f"Services seen: {', '.join(map(plain, audit.services))}.")
    yield ""


def _score(told: Defensibility, style: Style, *, full: bool) -> Iterator[str]:
    score = told.score_millis
    colour = "green" if score >= _GOOD_MILLIS else "yellow" if score >= _FAIR_MILLIS else "red"
    bar = style.bar(score, 1000, _BAR * 2)
    yield style.paint(f"  {words.score(score)} of 100", "bold", colour) + "   defensible"
    yield f"  {style.paint(bar, colour)}"
    yield (
        f"  {words.count(told.defensible_calls)} of {words.count(told.calls, 'call')} have all that"
        " a charge needs to be defended."
    )
    yield ""
    title = max((len(one.title) for one in told.criteria), default=0)
    title = min(title, style.width - 40)
    for one in told.criteria:
        weight = words.score(one.weight_millis).removesuffix(".0")
        share = words.share(one.calls, told.calls)
        bar = style.bar(one.calls, told.calls, 16).ljust(16)
        yield f"  {plain(one.title)[:title]:<{title}}  {bar} {share:>7}  weight {weight}"
    if full:
        yield from style.wrap(f"Score: {told.formula}", "  ")
    yield ""


def _at_risk(told: Defensibility, style: Style, *, full: bool) -> Iterator[str]:
    unpriced = told.unpriced_calls
    share = words.share(told.at_risk_pico, told.cost_pico)
    yield style.paint("Dollars at risk", "bold") + (
        f"   {words.usd(told.at_risk_pico)} of {words.usd(told.cost_pico)} ({share})"
        + (f", {words.count(unpriced, 'call')} without a price" if unpriced else "")
    )
    shown = [one for one in told.at_risk if one.calls]
    most = max((one.cost_pico for one in shown), default=0)
    tails = [
        f"{words.cost(one.cost_pico, one.unpriced_calls, one.calls)}"
        f"  {words.count(one.calls, 'call')}"
        for one in shown
    ]
    # Amounts are never cut: what they leave is shared by titles and bars.
    room = style.width - 5 - max(map(len, tails), default=0)
    title = min(max((len(one.title) for one in shown), default=0), max(room - _BAR_MIN, 8))
    width = max(min(room - title, _BAR), 1)
    for one, tail in zip(shown, tails, strict=True):
        bar = style.bar(one.cost_pico, most, width).ljust(width)
        yield f"  {plain(one.title)[:title]:<{title}}  {style.paint(bar, 'red')} {tail}"
        if one.fix is not None:
            yield from style.wrap(one.fix.title, "         ", first="    Fix  ")
            if full:
                yield from _snippet(one.fix.snippet, style, full=full)
    yield ""


def _findings(audit: Audit, style: Style, *, full: bool) -> Iterator[str]:
    if not audit.findings:
        if audit.calls:
            yield from style.wrap(nothing_found(audit))
            yield ""
        return
    yield style.paint("Findings", "bold")
    shown = len(audit.findings) if full else _DETAILED
    for number, one in enumerate(audit.findings[:shown], 1):
        yield ""
        yield from _finding(number, one, style, full=full)
    rest = audit.findings[shown:]
    if rest:
        yield ""
        for number, one in enumerate(rest[:_LISTED], shown + 1):
            yield _line(number, one, style)
        more = len(rest) - _LISTED
        yield style.paint(
            (f"  and {words.count(more, 'more finding')}; " if more > 0 else "  ")
            + "--full shows each with its spans and its fix",
            "dim",
        )
    yield ""


def _finding(number: int, one: Finding, style: Style, *, full: bool) -> Iterator[str]:
    label = style.paint(one.severity.value.upper(), "bold", _COLOURS[one.severity])
    mode = words.MODES[one.mode]
    yield f"{number:>2} {label}  {mode}  {style.paint(f'{one.rule} {one.finding_id}', 'dim')}"
    yield from style.wrap(plain(one.title), "   ")
    if one.hop is not None:
        yield from style.wrap(hop_words(one.hop, is_cause=one.is_cause), "     ", first="   > ")
    yield f"   {_amounts(one)}"
    evidence = one.evidence if full else one.evidence[:_EVIDENCE]
    for span in evidence:
        yield style.paint(f"   span {plain(span.span_id)}  ", "dim") + (
            f"{span_words(span)}  {style.paint(place_words(span), 'dim')}"
        )
    more = one.hits - len(evidence)
    if more > 0:
        yield style.paint(f"   and {words.count(more)} more like it", "dim")
    yield from _fix(one, style, full=full)


def _amounts(one: Finding) -> str:
    told = f"{words.count(one.calls, 'call')} in {words.count(one.traces, 'trace')}"
    told += f", {words.cost(one.cost_pico, one.unpriced_calls, one.calls)}"
    if one.factor_millis is not None:
        told += f", sums are {words.factor(one.factor_millis)} times what is true"
    return told


def _fix(one: Finding, style: Style, *, full: bool) -> Iterator[str]:
    if one.fix is None:
        return
    fix = one.fix
    yield from style.wrap(fix.title, "       ", first=f"   {style.paint('Fix', 'bold', 'green')} ")
    yield from style.wrap(fix.why, "       ")
    yield from _snippet(fix.snippet, style, full=full)
    if full and fix.with_tollbook:
        yield "       or with Tollbook:"
        yield from _snippet(fix.with_tollbook, style, full=full)
    after = "" if one.score_after is None else f"Score after it: {words.score(one.score_after)}. "
    page = f"More: {fix.page}" if fix.page else ""
    if after or page:
        yield style.paint(f"       {after}{page}", "dim")


def _snippet(snippet: str, style: Style, *, full: bool) -> Iterator[str]:
    text = snippet.strip("\n")
    lines = (text if full else text.replace("\n\n\n", "\n\n")).split("\n")
    shown = lines if full or len(lines) <= _SNIPPET_LINES + 1 else lines[:_SNIPPET_LINES]
    for line in shown:
        yield f"       {style.paint(f'| {line}', 'cyan')}"
    if len(shown) < len(lines):
        yield style.paint(f"       | ... {len(lines) - len(shown)} more lines: --full", "dim")


def _line(number: int, one: Finding, style: Style) -> str:
    label = style.paint(f"{one.severity.value.upper():<7}", _COLOURS[one.severity])
    cost = words.cost(one.cost_pico, one.unpriced_calls, one.calls)
    head, tail = f"{number:>2} ", f"  {words.count(one.calls, 'call')}, {cost}"
    room = max(style.width - len(head) - 8 - len(tail), 20)
    title = plain(one.title)
    if len(title) > room:
        title = title[: room - 1] + "\N{HORIZONTAL ELLIPSIS}"
    return f"{head}{label} {title}{style.paint(tail, 'dim')}"
