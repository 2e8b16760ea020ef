"""Findings as CSV: one line each, for spreadsheets."""

from __future__ import annotations

import csv
from io import StringIO
from typing import TYPE_CHECKING, Final

from tollbook.audit.outputs.hops import hop_words, place_words, plain
from tollbook.money import usd_text

if TYPE_CHECKING:
    from tollbook.audit.findings import Finding
    from tollbook.audit.report import Audit

COLUMNS: Final = (
    "finding_id", "mode", "rule", "severity", "title", "hop", "framework", "hits", "traces",
    "calls", "cost_usd", "currency", "unpriced_calls", "score_after", "fix", "spans", "place",
)  # fmt: skip
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for a formula (OWASP, CSV injection)."""


def csv_text(audit: Audit) -> str:
    """Return the table, with a line of names, its lines ended."""
    file = StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([_cell(value) for value in _row(one)] for one in audit.findings)
    return file.getvalue()


def _row(one: Finding) -> tuple[str, ...]:
    after = "" if one.score_after is None else f"{one.score_after // 10}.{one.score_after % 10}"
    hop = "" if one.hop is None else hop_words(one.hop, is_cause=one.is_cause)
    return (
        one.finding_id, one.mode.value, one.rule, one.severity.value, one.title,
        hop, one.framework, str(one.hits), str(one.traces), str(one.calls),
        usd_text(one.cost_pico), "USD", str(one.unpriced_calls),
        after, "" if one.fix is None else one.fix.title,
        " ".join(span.span_id for span in one.evidence),
        place_words(one.evidence[0]) if one.evidence else "",
    )  # fmt: skip


def _cell(value: str) -> str:
    text = plain(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
