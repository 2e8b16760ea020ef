"""A report in the format that was asked for; modules are imported when theirs is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tollbook.audit.outputs.style import Style

if TYPE_CHECKING:
    from tollbook.audit.report import Audit


def written(
    audit: Audit,
    form: str,
    *,
    style: Style | None = None,
    full: bool = False,
    show_names: bool = False,
) -> str:
    """Return the report as text.

    Args:
        audit: the report.
        form: ``table``, ``text``, ``json``, ``sarif``, ``junit``, ``html`` or ``csv``.
        style: of the terminal, for a table.
        full: whether nothing is left out of a table or of JSON.
        show_names: whether HTML names tenants and users.
    """
    if form == "json":
        from tollbook.audit.outputs.as_json import json_text  # noqa: PLC0415 -- when it is used

        return json_text(audit, full=full)
    if form == "sarif":
        from tollbook.audit.outputs.sarif import sarif_text  # noqa: PLC0415 -- when it is used

        return sarif_text(audit)
    if form == "junit":
        from tollbook.audit.outputs.junit import junit_text  # noqa: PLC0415 -- when it is used

        return junit_text(audit)
    if form == "html":
        from tollbook.audit.outputs.html import html_text  # noqa: PLC0415 -- when it is used

        return html_text(audit, show_names=show_names)
    if form == "csv":
        from tollbook.audit.outputs.table import csv_text  # noqa: PLC0415 -- when it is used

        return csv_text(audit)
    from tollbook.audit.outputs.terminal import terminal_text  # noqa: PLC0415 -- as above

    return terminal_text(audit, style or Style(), full=full)
