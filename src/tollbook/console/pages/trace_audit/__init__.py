"""The page that audits traces and logs which people hand in; see ``docs/audit-console.md``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.console.pages.page import Page
from tollbook.console.pages.trace_audit.finding import finding_view
from tollbook.console.pages.trace_audit.handing_in import handing_in
from tollbook.console.pages.trace_audit.result import result_view
from tollbook.console.pages.trace_audit.waiting import failed_view, waiting_view
from tollbook.desk.permits import Permit, Scope

if TYPE_CHECKING:
    from tollbook.console.pages.context import PageContext
    from tollbook.console.pages.view import View


def trace_audit(context: PageContext) -> View:
    """Return the form, how far an audit is, its result, or one finding: by what the URL names."""
    jobs = context.house.audits
    assert jobs is not None, "the process that has pages audits files"
    job_id = context.get("id")
    if job_id is None:
        return handing_in(context, jobs)
    job = jobs.of(context.principal.name, job_id)
    if job.problem is not None:
        return failed_view(job)
    if job.audit is None:
        return waiting_view(context, job)
    finding_id = context.get("finding")
    if finding_id is None:
        return result_view(context, job, job.audit)
    return finding_view(context, job, job.audit, finding_id)


PAGES: Final = (
    Page("/trace-audit", "Trace audit", trace_audit, Permit(Scope.CALLS), group="Trust",
         is_kept=False),
)  # fmt: skip
