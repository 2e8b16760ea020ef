"""Where files are handed in, and what was audited a while ago."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook.audit.outputs import words
from tollbook.console.audits.routes import FORM
from tollbook.console.pages.view import Column, Field, Form, Table, Text, View

if TYPE_CHECKING:
    from tollbook.console.audits.jobs import Job, Jobs
    from tollbook.console.pages.context import PageContext

COMMAND: Final = "tollbook audit traces.jsonl"
_PRIVACY: Final = (
    "What was said to a model or by it is dropped on reading. Files are audited on this machine, "
    "in a process of its own, and removed at once; the result is kept in memory for half an hour, "
    "for you alone. The audit log has how much was audited, and no name.\n\n"
    "Understood are OTLP JSON, JSONL and protobuf as the OpenTelemetry Collector writes them, "
    "Jaeger, Zipkin and Tempo, exports of Datadog, Honeycomb, Langfuse, LangSmith, Helicone and "
    "Phoenix, spend logs of LiteLLM, and logs of calls as JSONL or CSV; plain, gzip or zstd."
)
_COLUMNS: Final = (
    Column("made_at", "Handed in", "time"), Column("files", "Files"),
    Column("size_bytes", "Size", "bytes"), Column("state", "State", "state"),
    Column("score", "Score", help="of 100"), Column("findings", "Findings", "count"),
)  # fmt: skip


def handing_in(context: PageContext, jobs: Jobs) -> View:
    """Return the form, and the audits of whoever asks that are kept."""
    limits = jobs.limits
    form = Form(
        name="audit", operation="trace_audit", action=FORM, submit="Audit", drops=True,
        title="Traces or logs of calls",
        note=f"Up to {limits.files_max} files, {words.size(limits.upload_max_bytes)} together; "
        f"larger ones with the command at the foot, which reads files of any size.",
        fields=(
            Field(name="files", label="Files", kind="file", is_required=True, is_multiple=True,
                  max_bytes=limits.upload_max_bytes, help="Choose files, or drop them here."),
            Field(name="tenant_attribute", label="Tenant attributes",
                  placeholder="app.customer_id", help="If it is none of the usual ones."),
            Field(name="trusted_host", label="Hosts of your own", placeholder="llm.example.com",
                  help="Identity may be sent to them."),
            Field(name="hash_names", label="Hash the names of tenants and users",
                  kind="checkbox"),
        ),
    )  # fmt: skip
    table = Table(
        name="audits",
        title="Audits of the last half hour",
        columns=_COLUMNS,
        rows=[_row(one) for one in jobs.all_of(context.principal.name)],
        empty="Nothing was audited yet: hand a file in above.",
    )
    return View(
        title="Trace audit", tz=context.tz, command=COMMAND,
        subtitle="Where a pipeline loses whose call it is, what that costs, and what to change.",
        sections=(form, table, Text(text=_PRIVACY)),
    )  # fmt: skip


def _row(job: Job) -> dict[str, Any]:
    row: dict[str, Any] = {
        "made_at": job.made_at, "files": ", ".join(job.files), "size_bytes": job.size_bytes,
        "state": state_of(job), "score": None, "findings": None,
        "_links": {"files": f"/trace-audit?id={job.job_id}"},
    }  # fmt: skip
    if job.audit is not None:
        row |= {"findings": len(job.audit.findings)}
        if job.audit.calls:
            row |= {"score": words.score(job.audit.defensibility.score_millis)}
    return row


def state_of(job: Job) -> str:
    """Return how far an audit is, in a word."""
    if job.problem is not None:
        return "failed"
    if job.audit is not None:
        return "done"
    return "running" if job.is_running else "waiting"
