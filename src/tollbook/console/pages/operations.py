"""The state of the ledger for those who run it: how far it is, what it reads, what it costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook.console.pages.page import Page
from tollbook.console.pages.view import Column, Figure, Figures, Notice, Section, Table, View
from tollbook.desk.permits import Permit, Scope

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tollbook.console.pages.context import PageContext
    from tollbook.console.pages.view import Tone

_WRITERS: Final = (
    Column("writer", "Writer", "id"), Column("state", "State", "state"),
    Column("segment", "Segment", "count"), Column("offset", "Read to byte", "bytes"),
    Column("version", "Version"), Column("last_frame_at", "Last frame", "time"),
    Column("updated_at", "Read", "time"),
)  # fmt: skip
_LAG_WARN_S: Final = 30
_LAG_BAD_S: Final = 300


def operations(context: PageContext) -> View:
    """Return how far the ledger is, its writers and its problems."""
    state: Mapping[str, Any] = context.house.status()
    sections: list[Section] = [_figures(state)]
    sections += [Notice(text=one, tone="bad") for one in state["problems"]]
    sections += [
        Table(name="writers", title="Writers of the spool", columns=_WRITERS,
              rows=[dict(one) for one in state["writers"]],
              note="Each worker of a gateway and each SDK writes files of its own; the ledger "
              "reads them all.",
              empty="Nobody has written yet: start the gateway with tollbook up."),
        Table(name="stitching", title="Calls seen by several observers, last 31 days",
              columns=(Column("state", "State"), Column("calls", "Calls", "count")),
              rows=[{"state": name, "calls": calls} for name, calls in state["stitching"].items()]),
        _others(state),
    ]  # fmt: skip
    return View(
        title="Operations", sections=tuple(sections), tz=context.tz,
        subtitle="Metrics for Prometheus are at /metrics of the gateway and of the ledger; "
        "dashboards are in deploy/.",
        command="tollbook doctor",
    )  # fmt: skip


def _figures(state: Mapping[str, Any]) -> Figures:
    lag = state["lag_s"]
    tone: Tone = "plain"
    if lag is not None:
        tone = "bad" if lag > _LAG_BAD_S else "warn" if lag > _LAG_WARN_S else "good"
    return Figures(
        items=(
            Figure(label="Behind", value=lag, kind="seconds", tone=tone,
                   note="every call that ended earlier is in"),
            Figure(label="Complete until", value=state["complete_until"], kind="time"),
            Figure(label="Entries", value=state["entries"], kind="count"),
            Figure(label="Batches", value=state["batches"], kind="count"),
            Figure(label="Calls under way", value=state["open_calls"], kind="count",
                   note="opened, and not yet closed"),
            Figure(label="Losses and damages", value=state["incidents"], kind="count",
                   tone="bad" if state["incidents"] else "good", url="/quality"),
        )
    )  # fmt: skip


def _others(state: Mapping[str, Any]) -> Table:
    rows = [
        {"name": name.replace("_", " "), "value": value}
        for name, value in state.items()
        if isinstance(value, (str, int)) and not isinstance(value, bool)
    ]
    return Table(name="facts", title="Versions and counts", rows=rows, is_folded=True,
                 columns=(Column("name", "What"), Column("value", "Value", "code")))  # fmt: skip


PAGES: Final = (Page("/operations", "Operations", operations, Permit(Scope.LEDGER), group="Trust"),)
