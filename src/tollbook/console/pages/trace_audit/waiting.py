"""An audit that is not done: how far it is, or why there is no result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook import clock
from tollbook.console.pages.view import Choice, Figure, Figures, Notice, View

if TYPE_CHECKING:
    from tollbook.console.audits.jobs import Job
    from tollbook.console.pages.context import PageContext

TRAIL: Final = (Choice("Trace audit", "/trace-audit"),)
_AGAIN_S: Final = 2
_NAMED_MAX: Final = 3


def files_words(job: Job) -> str:
    """Return which files an audit is of."""
    if len(job.files) <= _NAMED_MAX:
        return ", ".join(job.files)
    return f"{job.files[0]} and {len(job.files) - 1} more"


def waiting_view(context: PageContext, job: Job) -> View:
    """Return how far an audit is; the page loads itself again."""
    told = job.told
    words = "Judging traces" if told.done_traces else "Reading"
    elapsed_s = (clock.monotonic_ns() - job.begun_ns) // clock.NS_PER_S
    text = f"{words}." if job.is_running else "It waits for its turn: one audit runs at a time."
    return View(
        title="Trace audit", subtitle=files_words(job), tz=context.tz, trail=TRAIL,
        refresh_s=_AGAIN_S,
        sections=(
            Notice(text=text, tone="plain", url=f"/trace-audit?id={job.job_id}",
                   action="Look again"),
            Figures(items=(
                Figure(label="Read", value=told.read_bytes, kind="bytes"),
                Figure(label="Spans", value=told.spans, kind="count"),
                Figure(label="Traces judged", value=told.done_traces, kind="count"),
                Figure(label="For", value=elapsed_s, kind="seconds"),
            )),
        ),
    )  # fmt: skip


def failed_view(job: Job) -> View:
    """Return why there is no result."""
    problem = job.problem or ""
    return View(
        title="Trace audit", subtitle=files_words(job), trail=TRAIL,
        sections=(
            Notice(text=problem[:1].upper() + problem[1:], tone="bad", url="/trace-audit",
                   action="Hand in other files"),
        ),
    )  # fmt: skip
