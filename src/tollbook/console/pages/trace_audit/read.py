"""What was read, and what could not be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.audit.outputs.html_read import where
from tollbook.audit.outputs.redaction import Shown
from tollbook.console.pages.view import Column, Table, Text

if TYPE_CHECKING:
    from tollbook.audit.report import Audit
    from tollbook.console.pages.view import Section

_INPUTS: Final = (
    Column("source", "Input"), Column("format", "Format"), Column("size_bytes", "Size", "bytes"),
    Column("records", "Records", "count"), Column("spans", "Spans", "count"),
    Column("content_dropped", "Content dropped", "count", help="attributes, on reading"),
    Column("troubles", "Problems", "count"),
)  # fmt: skip
_TROUBLES: Final = (
    Column("where", "Where", "code"), Column("problem", "Problem"),
    Column("records", "Records lost", "count"),
)  # fmt: skip


def read_sections(audit: Audit) -> list[Section]:
    """Return the inputs, their problems, and what happened to names and content."""
    inputs = [
        {"source": one.source, "records": one.records, "spans": one.spans,
         "format": ", ".join(filter(None, [one.format or "not recognised", one.compression])),
         "size_bytes": one.read_bytes if one.size_bytes is None else one.size_bytes,
         "content_dropped": one.content_dropped, "troubles": one.troubles}
        for one in audit.inputs
    ]  # fmt: skip
    sections: list[Section] = [
        Table(name="inputs", title="What was read", columns=_INPUTS, rows=inputs)
    ]
    if audit.troubles:
        shown = Shown()
        troubles = [
            {"where": where(one.where, shown), "problem": one.problem, "records": one.records}
            for one in audit.troubles
        ]
        sections.append(
            Table(name="troubles", title="Could not be read", columns=_TROUBLES, rows=troubles)
        )
    told = [audit.privacy, audit.prices and f"Prices: {audit.prices}."]
    if audit.ignored:
        told.append(f"Rules that were not used: {', '.join(audit.ignored)}.")
    sections.append(Text(text="\n\n".join(one for one in told if one)))
    return sections
