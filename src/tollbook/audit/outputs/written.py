"""A report in the format that was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tollbook.audit.outputs.as_json import json_text
from tollbook.audit.outputs.comparison import comparison_text
from tollbook.audit.outputs.junit import junit_text
from tollbook.audit.outputs.sarif import sarif_text
from tollbook.audit.outputs.style import Style
from tollbook.audit.outputs.table import csv_text
from tollbook.audit.outputs.terminal import terminal_text

if TYPE_CHECKING:
    from tollbook.audit.compare import Comparison
    from tollbook.audit.report import Audit


def written(
    audit: Audit,
    form: str,
    *,
    style: Style | None = None,
    full: bool = False,
    show_names: bool = False,
    comparison: Comparison | None = None,
) -> str:
    """Return the report as text.

    Args:
        audit: the report.
        form: ``table``, ``text``, ``json``, ``sarif``, ``junit``, ``html`` or ``csv``.
        style: of the terminal, for a table.
        full: whether nothing is left out of a table or of JSON.
        show_names: whether HTML names tenants and users.
        comparison: with an earlier audit; stands in JSON and below a table.
    """
    if form in {"table", "text"}:
        return _table(audit, style or Style(), comparison, full=full)
    if form == "json":
        return json_text(audit, full=full, comparison=comparison)
    if form == "html":
        from tollbook.audit.outputs.html import html_text  # noqa: PLC0415 -- when it is used

        return html_text(audit, show_names=show_names)
    if form == "sarif":
        return sarif_text(audit)
    return junit_text(audit) if form == "junit" else csv_text(audit)


def _table(audit: Audit, style: Style, comparison: Comparison | None, *, full: bool) -> str:
    text = terminal_text(audit, style, full=full)
    return text if comparison is None else f"{text}\n{comparison_text(comparison)}"
