"""What was read, what was dropped, and what could not be read: a report says what it rests on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tollbook.audit.outputs import words
from tollbook.audit.outputs.markup import Html, el, join

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tollbook.audit.outputs.redaction import Names
    from tollbook.audit.read import InputRead, Trouble, Where
    from tollbook.audit.report import Audit


def inputs(audit: Audit, names: Names) -> Html:
    """Return each input: what it was, and how much of it was read."""
    labels = ("Input", "Format", "Size", "Records", "Spans", "Content dropped", "Problems")
    head = el("tr", [_head(label, number) for number, label in enumerate(labels)])
    table = el("table", el("thead", head), el("tbody", (_row(one, names) for one in audit.inputs)))
    return el("div", table, class_="card scroll", tabindex=0, role="region", aria_label="Inputs")


def _head(label: str, number: int) -> Html:
    return el("th", label, scope="col", class_="number-cell" if number > 1 else None)


def _row(one: InputRead, names: Names) -> Html:
    kind = one.format or "not recognised"
    if one.compression:
        kind += f", {one.compression}"
    numbers = (
        words.size(one.read_bytes if one.size_bytes is None else one.size_bytes),
        words.count(one.records), words.count(one.spans),
        words.count(one.content_dropped, "attribute"), words.count(one.troubles),
    )  # fmt: skip
    told = [el("br"), *(el("small", names.text(note), " ") for note in one.notes)]
    return el(
        "tr", el("th", names.source(one.source), scope="row"),
        el("td", kind, told if one.notes else None),
        [el("td", number, class_="number-cell") for number in numbers],
    )  # fmt: skip


def troubles(audit: Audit, names: Names) -> Html | None:
    """Return what could not be read, with the place of each."""
    if not audit.troubles:
        return None
    head = el("tr", [el("th", label, scope="col") for label in ("Where", "Problem", "Lost")])
    rows = (
        el("tr", el("th", where(one.where, names), scope="row"), el("td", names.text(one.problem)),
           el("td", _lost(one)))
        for one in audit.troubles
    )  # fmt: skip
    all_of_them = sum(one.troubles for one in audit.inputs)
    title = f"Could not be read: {words.count(max(all_of_them, len(audit.troubles)), 'place')}"
    if all_of_them > len(audit.troubles):
        title += f", the first {len(audit.troubles)} are listed"
    table = el("table", el("thead", head), el("tbody", rows))
    box = el("div", table, class_="scroll", tabindex=0, role="region", aria_label="Problems")
    return el("div", el("h3", title), box, class_="card")


def where(one: Where, names: Names) -> str:
    """Return a place in an input."""
    told = names.source(one.source)
    if one.line is not None:
        return f"{told}:{one.line}"
    return told if one.offset is None else f"{told}, byte {one.offset:,}"


def _lost(one: Trouble) -> str:
    return "not known" if one.records is None else words.count(one.records, "record")


def about(audit: Audit, names: Names) -> Html:
    """Return what happened to names and content, which prices were used, and by which version."""
    told = [audit.privacy, names.words, audit.prices and f"Prices: {audit.prices}."]
    if audit.ignored:
        told.append(f"Rules that were not used: {', '.join(audit.ignored)}.")
    if audit.first_at_ns:
        first, last = words.moment(audit.first_at_ns), words.moment(audit.last_at_ns)
        told.append(f"Calls from {first} to {last}.")
    if audit.wrappers:
        told.append(
            f"{words.count(audit.wrappers, 'span')} that sum up calls below them are in no sum."
        )
    return join(
        [el("p", names.text(one)) for one in told if one],
        _counted("Instrumentations that told of calls", audit.instrumentations, names),
    )


def _counted(title: str, counted: Mapping[str, int], names: Names) -> Html | None:
    if not counted:
        return None
    rows = (
        el("tr", el("th", names.text(name), scope="row"),
           el("td", words.count(number, "call"), class_="number-cell"))
        for name, number in counted.items()
    )  # fmt: skip
    table = el("table", el("tbody", rows), class_="fits")
    return el("details", el("summary", title), table, class_="plain")
