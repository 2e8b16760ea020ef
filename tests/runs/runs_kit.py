"""A ledger world in which runs are told as gateways and tracers tell them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.ledger.conftest import World

from tollbook.call import Identity, Observer, SpanKind, SpanSeen
from tollbook.reports.reader import DuckdbReader
from tollbook.reports.runs import RunReport, report_run, run_query

if TYPE_CHECKING:
    from tollbook.call import CallOpened, Frame

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def span_id(number: int) -> str:
    return f"{number:016x}"


class RunWorld(World):
    """A ledger world with spans; times are given in ticks of a millisecond."""

    def __init__(self, root: Any) -> None:
        super().__init__(root)
        self.frames: list[Frame] = []

    def span(
        self, number: int, parent: int | None, name: str, kind: SpanKind = SpanKind.OTHER,
        **fields: Any,
    ) -> SpanSeen:  # fmt: skip
        identity = fields.pop("identity", None)
        started_ns = self.tick()
        defaults: dict[str, Any] = {
            "at_ns": self.tick(), "trace_id": TRACE, "span_id": span_id(number),
            "parent_span_id": None if parent is None else span_id(parent), "name": name,
            "kind": kind, "observer": Observer.OTLP, "started_at_ns": started_ns,
            "ended_at_ns": self.tick(),
            "identity": None if identity is None else Identity(**identity),
        }  # fmt: skip
        seen = SpanSeen(**(defaults | fields))
        self.frames.append(seen)
        return seen

    def made(
        self, parent: int | None = None, identity: dict[str, Any] | None = None,
        closed: dict[str, Any] | None = None, **opened: Any,
    ) -> CallOpened:  # fmt: skip
        """A call, and that it was made within a span."""
        defaults: dict[str, Any] = {
            "identity": Identity(**(identity or {})),
            "trace_id": None if parent is None else TRACE,
            "parent_span_id": None if parent is None else span_id(parent),
        }
        one = self.opened(**(defaults | opened))
        told = {"input_tokens": 1000, "output_tokens": 0} | (closed or {})
        self.frames += [one, self.closed(one, **told)]
        return one

    def book(self) -> None:
        """Write all that was told with one writer, and read it."""
        writer = self.writer(1 << 20)
        for frame in self.frames:
            writer.append(frame)
        assert writer.flush()
        writer.close()
        self.frames.clear()
        self.drain()

    def run(self, run: str, limit: int | None = None) -> RunReport:
        connection = self.store.reader()
        pairs = [] if limit is None else [("limit", str(limit))]
        try:
            return report_run(DuckdbReader(connection), run_query(run, pairs))
        finally:
            connection.close()


def outline(report: RunReport) -> list[str]:
    """Return the tree as indented text: name, cost and marks."""
    return [
        f"{'  ' * row['depth']}{row['name']} {float(row['cost_usd'] or 'nan'):g}"
        + (f" [{row['marks']}]" if row["marks"] else "")
        for row in report.rows
    ]
