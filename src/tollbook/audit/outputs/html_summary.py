"""The head of the report: the score, the dollars at risk, and what both are made of."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from tollbook.audit.findings import Mode, Severity
from tollbook.audit.outputs import words
from tollbook.audit.outputs.html_charts import bar, dot, gauge, stack
from tollbook.audit.outputs.markup import Html, el, join

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tollbook.audit.outputs.redaction import Names
    from tollbook.audit.report import Audit, Defensibility


def top(audit: Audit) -> Html:
    """Return the score beside the criteria it is made of, and the numbers that matter."""
    told = audit.defensibility
    label = f"Score {words.score(told.score_millis)} of 100"
    score = el(
        "div", gauge(told.score_millis, label),
        el("div", words.score(told.score_millis), class_="number"),
        el("div", "of 100: could these charges be defended?", class_="small muted"),
        class_="card score",
    )  # fmt: skip
    return join(el("div", score, criteria(told), class_="top"), _figures(audit))


def _figures(audit: Audit) -> Html:
    told = audit.defensibility
    numbers: list[tuple[str, str, str]] = [
        ("At risk", words.usd(told.at_risk_pico),
         f"{words.share(told.at_risk_pico, told.cost_pico)} of {words.usd(told.cost_pico)}"),
        ("Defensible calls", words.count(told.defensible_calls),
         f"{words.share(told.defensible_calls, told.calls)} of {words.count(told.calls)}"),
        ("Findings", words.count(len(audit.findings)), _by_severity(audit)),
        ("Traces", words.count(audit.traces), words.count(audit.spans, "span")),
    ]  # fmt: skip
    if told.unpriced_calls:
        numbers.append(
            ("Without a price", words.count(told.unpriced_calls, "call"), "in no sum of dollars")
        )
    return el(
        "dl",
        [el("div", el("dt", label), el("dd", value), el("dd", note, class_="note"))
         for label, value, note in numbers],
        class_="figures",
    )  # fmt: skip


def _by_severity(audit: Audit) -> str:
    counted = Counter(one.severity for one in audit.findings)
    told = [
        words.count(counted[one], words.SEVERITIES[one].lower()) for one in Severity if counted[one]
    ]
    return ", ".join(told) or "nothing to mend"


def criteria(told: Defensibility) -> Html:
    """Return what a charge needs to be defended, and how many calls have it."""
    rows = (
        el("tr", _barred(one.title, bar(one.calls, told.calls)),
           el("td", words.share(one.calls, told.calls), class_="number-cell"),
           el("td", words.score(one.weight_millis), class_="number-cell"))
        for one in told.criteria
    )  # fmt: skip
    head = el(
        "tr", el("th", "A call has", scope="col"),
        el("th", "Calls", scope="col", class_="number-cell"),
        el("th", "Weight", scope="col", class_="number-cell"),
    )  # fmt: skip
    table = el("table", el("thead", head), el("tbody", rows), class_="fits")
    return el("div", table, _formula(told), class_="card")


def _barred(name: str, drawn: Html) -> Html:
    return el("th", el("div", el("span", name), drawn, class_="barred"), scope="row")


def cost_cell(cost_pico: int, unpriced_calls: int, calls: int) -> Html:
    """Return what calls cost, and below it how many have no price."""
    if not unpriced_calls or unpriced_calls >= calls:
        told = words.cost(cost_pico, unpriced_calls, calls)
        return el("td", told, class_="number-cell")
    more = el("div", f"+ {words.count(unpriced_calls)} unpriced", class_="small muted")
    return el("td", words.usd(cost_pico), more, class_="number-cell")


def _formula(told: Defensibility) -> Html | None:
    if not told.formula:
        return None
    return el("details", el("summary", "How the score is worked out"), el("p", told.formula),
              class_="plain")  # fmt: skip


def at_risk(told: Defensibility, names: Names) -> Html:
    """Return the dollars that could not be defended, by the one cause each is booked to."""
    parts = sorted(told.at_risk, key=lambda one: (-one.cost_pico, -one.calls, one.cause))
    if not parts:
        return el("p", "No dollar is at risk by any cause.", class_="notice good")
    label = ", ".join(f"{one.title} {words.usd(one.cost_pico)}" for one in parts)
    rows = (
        el("tr", el("th", dot(number), names.text(one.title), scope="row"),
           el("td", words.count(one.calls), class_="number-cell"),
           cost_cell(one.cost_pico, one.unpriced_calls, one.calls),
           el("td", words.share(one.cost_pico, told.at_risk_pico), class_="number-cell"))
        for number, one in enumerate(parts)
    )  # fmt: skip
    head = el(
        "tr", el("th", "Cause", scope="col"),
        [el("th", one, scope="col", class_="number-cell") for one in ("Calls", "Cost", "Share")],
    )  # fmt: skip
    drawn = stack([one.cost_pico for one in parts], f"At risk by cause: {names.text(label)}")
    table = el("table", el("thead", head), el("tbody", rows), class_="causes fits")
    return el("div", drawn if told.at_risk_pico else None, table, class_="card")


def by_mode(audit: Audit) -> Html:
    """Return how many calls the findings of each mode are about."""
    calls: Counter[Mode] = Counter()
    found: Counter[Mode] = Counter()
    for one in audit.findings:
        calls[one.mode] += one.calls
        found[one.mode] += 1
    most = max(calls.values(), default=0)
    rows = (
        (words.MODES[mode], bar(calls[mode], most), words.count(found[mode]),
         words.count(calls[mode]))
        for mode in Mode if found[mode]
    )  # fmt: skip
    return _bars("Findings by mode", ("Mode", "Findings", "Calls"), rows)


def by_service(audit: Audit, names: Names) -> Html | None:
    """Return the calls of each service, and how many of them have no owner."""
    if not audit.services:
        return None
    unowned = audit.unowned_services
    rows = (
        (names.text(service), bar(unowned.get(service, 0), calls, "fill-bad"), words.count(calls),
         words.count(unowned.get(service, 0)))
        for service, calls in audit.services.items()
    )  # fmt: skip
    return _bars("Calls by service", ("Service", "Calls", "No owner"), rows)


def _bars(
    title: str, labels: tuple[str, str, str], rows: Iterable[tuple[str, Html, str, str]]
) -> Html:
    head = el(
        "tr", el("th", labels[0], scope="col"),
        [el("th", one, scope="col", class_="number-cell") for one in labels[1:]],
    )  # fmt: skip
    told = (
        el("tr", _barred(name, drawn),
           el("td", first, class_="number-cell"), el("td", second, class_="number-cell"))
        for name, drawn, first, second in rows
    )  # fmt: skip
    table = el("table", el("caption", title), el("thead", head), el("tbody", told), class_="fits")
    return el("div", table, class_="card")
