"""The ledger's state as Prometheus text (exposition format 0.0.4), at ``/metrics`` of the console.

Counters are sums of the whole ledger, so they survive restarts; a correction may lower one, which
Prometheus takes for a reset. Amounts are floats there: for looking, not for accounting.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from litestar import Response, get

from tollbook import __version__, clock
from tollbook.console.permit import needs
from tollbook.desk.permits import Scope
from tollbook.reports.query import SpendQuery
from tollbook.reports.spend import run_spend
from tollbook.reports.times import parse_period
from tollbook.reports.zone import zone_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from litestar.handlers import HTTPRouteHandler

    from tollbook.desk import Desk, Operation

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
KEPT_S: Final = 5
"""Sums are not added up more often, however many ask."""


class Family(NamedTuple):
    """A metric with its samples."""

    name: str
    kind: str
    help_text: str
    samples: Sequence[tuple[Mapping[str, str], Any]]
    """Labels and value; a value of None is not known and left out."""


def exposition(families: Iterable[Family]) -> str:
    """Return families as text."""
    lines = []
    for family in families:
        name = f"tollbook_{family.name}"
        lines += [f"# HELP {name} {family.help_text}", f"# TYPE {name} {family.kind}"]
        for labels, value in family.samples:
            if value is None:
                continue
            inner = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
            lines.append(f"{name}{{{inner}}} {value}" if inner else f"{name} {value}")
    return "\n".join([*lines, ""])


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


class LedgerMetrics:
    """The metrics of a ledger; safe to ask from several threads.

    Args:
        desk: whose ledger.
        status: tells how far it is.
        operations: by name; those of budgets and incidents are asked where there are any.
    """

    def __init__(
        self, desk: Desk, status: Callable[[], dict[str, Any]], operations: Mapping[str, Operation]
    ) -> None:
        self._desk = desk._replace(writer=None)
        self._status, self._operations = status, operations
        self._lock = threading.Lock()
        self._text, self._made_ns = "", -KEPT_S * clock.NS_PER_S

    def text(self) -> str:
        """Return all metrics.

        Raises:
            QueryTimeoutError: the ledger took too long.
        """
        with self._lock:
            if clock.monotonic_ns() - self._made_ns >= KEPT_S * clock.NS_PER_S:
                self._text = exposition([*self._of_status(), *self._of_spend(), *self._of_acting()])
                self._made_ns = clock.monotonic_ns()
            return self._text

    def _of_status(self) -> list[Family]:
        state = self._status()
        plain: tuple[tuple[str, str, str, Any], ...] = (
            ("ledger_lag_seconds", "gauge", "How far the ledger is behind.", state["lag_s"]),
            ("ledger_entries", "gauge", "Rows of the ledger.", state["entries"]),
            ("ledger_open_calls", "gauge", "Calls begun and not ended.", state["open_calls"]),
            ("ledger_problems", "gauge", "What cannot be read now.", len(state["problems"])),
            ("ledger_losses", "gauge", "Losses and damages on record.", state["incidents"]),
        )
        families = [
            Family("up", "gauge", "1 while the ledger answers.", [({"version": __version__}, 1)]),
            *(Family(name, kind, text, [({}, value)]) for name, kind, text, value in plain),
        ]
        writers: dict[str, int] = {}
        for writer in state["writers"]:
            writers[writer["state"]] = writers.get(writer["state"], 0) + 1
        samples = [({"state": name}, count) for name, count in sorted(writers.items())]
        return [*families, Family("ledger_writers", "gauge", "Writers of the spool.", samples)]

    def _of_spend(self) -> list[Family]:
        everything = parse_period("all", zone_of("UTC"), clock.utc_now())
        report = run_spend(
            self._desk.reader,
            SpendQuery(since=everything.start, until=everything.end, by=("provider", "model"),
                       measures=("calls", "errors", "input_tokens", "output_tokens", "cost_usd")),
        )  # fmt: skip
        labelled = [
            ({"provider": row["provider"] or "", "model": row["model"] or ""}, row)
            for row in report.rows
            if not row.get("is_other")
        ]
        found = [
            Family(f"{name}_total", "counter", text,
                   [(labels, row[column]) for labels, row in labelled])
            for name, column, text in (
                ("calls", "calls", "Calls booked."),
                ("failed_calls", "errors", "Calls that failed."),
                ("input_tokens", "input_tokens", "Tokens read by models."),
                ("output_tokens", "output_tokens", "Tokens written by models."),
                ("cost_usd", "cost_usd", "Cost in US dollars, where it is known."),
            )
        ]  # fmt: skip
        states = report.completeness
        shares = [
            ({"state": name}, getattr(states, name).calls)
            for name in ("unattributed", "unpriced", "estimated", "unmetered", "interrupted")
        ]
        return [*found, Family("calls_in_state", "gauge", "Calls to look after.", shares)]

    def _of_acting(self) -> list[Family]:
        """Return what people should act on: incidents by state, owners whose budget is used up."""
        families = []
        for operation, name, text in (
            ("incidents.list", "incidents", "Incidents of alert rules by state."),
            ("budgets.standing", "budget_owners", "Owners of budgets by state."),
        ):
            one = self._operations.get(operation)
            if one is None:
                continue
            rows = _rows(one, self._desk)
            counts: dict[str, int] = {}
            for row in rows:
                state = str(row.get("state"))
                counts[state] = counts.get(state, 0) + 1
            samples = [({"state": state}, count) for state, count in sorted(counts.items())]
            families.append(Family(name, "gauge", text, samples))
        return families


def _rows(operation: Operation, desk: Desk) -> list[dict[str, Any]]:
    from tollbook.console.finance import carry_out  # noqa: PLC0415 -- it knows routes too

    rows: list[dict[str, Any]] = carry_out(operation, desk, {}).get("rows", [])
    return rows


def metrics_route(metrics: LedgerMetrics) -> HTTPRouteHandler:
    """Return the route; it needs a principal that may see the ledger's state."""

    @get("/metrics", opt=needs(Scope.LEDGER), sync_to_thread=True, include_in_schema=False)
    def of_ledger() -> Response[str]:
        """Return the ledger's metrics."""
        headers = {"cache-control": "no-store"}
        return Response(metrics.text(), media_type=CONTENT_TYPE, headers=headers)

    return of_ledger
