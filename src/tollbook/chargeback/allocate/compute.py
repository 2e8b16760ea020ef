"""Bring a policy and a period together: read the cells, run the waterfall, tell the lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from tollbook.books.documents import Subject, document_history, documents_at
from tollbook.chargeback.allocate.cells import QUANTITIES, Cell, Cells, used_of
from tollbook.chargeback.allocate.metrics import metric_values, newest_metric
from tollbook.chargeback.allocate.policy import KEEP_FIELDS, grouped_by, read_policy
from tollbook.chargeback.allocate.shelf import AllocationLine
from tollbook.chargeback.allocate.waterfall import Outside, run_policy
from tollbook.chargeback.periods.sums import sums
from tollbook.errors import TollbookError
from tollbook.reports import dimensions, measures
from tollbook.reports.query import Filter
from tollbook.reports.zone import zone_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from fractions import Fraction

    from tollbook.books.documents import Document
    from tollbook.chargeback.allocate.waterfall import Moved
    from tollbook.chargeback.periods.period import Period
    from tollbook.desk import Desk

DEFAULT_POLICY: Final = "default"
_MEASURES: Final = (measures.CALLS, *measures.TOKEN_SUMS, measures.COST)


class NoPolicyError(TollbookError):
    """The policy that was asked for does not exist or is not in force."""

    def __init__(self, name: str, period: str, version: int | None = None) -> None:
        which = f"{name!r}" if version is None else f"{name!r} version {version}"
        super().__init__(
            f"allocation policy {which} is not in force when {period} begins; import one with "
            "tollbook allocate policy import FILE --from DATE --reason TEXT"
        )


class NoModelError(TollbookError):
    """A policy names an attribution model that does not exist."""

    def __init__(self, name: str) -> None:
        super().__init__(f"attribution model {name[:64]!r} is not in force in the period")


class Computed(NamedTuple):
    """What a policy makes of a period, and what that rests on."""

    policy: Document
    lines: list[AllocationLine]
    problems: list[str]
    documents: list[str]
    cells: Cells


def policy_of(
    desk: Desk, period: Period, name: str = DEFAULT_POLICY, version: int | None = None
) -> Document:
    """Return the policy in force when a period begins, or a version of it.

    Raises:
        NoPolicyError: there is none.
        BooksError: the books cannot be read.
    """
    if version is None:
        found = documents_at(desk.books, Subject.ALLOCATION_POLICY, period.start_ns).get(name)
    else:
        history = document_history(desk.books, Subject.ALLOCATION_POLICY, name)
        found = next((one for one in history if one.version == version), None)
    if found is None:
        raise NoPolicyError(name, period.name, version)
    return found


def run_prefix(period: str) -> str:
    """Return what the ids of a period's allocation entries begin with; see ``booking``."""
    return f"allocation:{period}:"


def own_runs(desk: Desk, period: Period) -> list[str]:
    """Return the adjustment ids of the allocation entries that earlier runs have booked."""
    where = (Filter("adjustment", ("allocation",)),)
    rows = sums(desk, period, ("adjustment_id",), where)
    return sorted(
        row["adjustment_id"] for row in rows
        if (row["adjustment_id"] or "").startswith(run_prefix(period.name))
    )  # fmt: skip


def compute(desk: Desk, period: Period, policy: Document) -> Computed:
    """Return what a policy makes of a period, as if it were run for the first time.

    Raises:
        PolicyError: the policy cannot be used.
        MetricError: a metric that it names does not exist.
        NoModelError: as above, for an attribution model.
        QueryTimeoutError: it took too long.
    """
    read = read_policy(policy.body)
    cells = _cells(desk, period, grouped_by(read))
    documents = [policy.document_id]
    zone = zone_of(period.timezone)
    first, after = period.start.astimezone(zone).date(), period.end.astimezone(zone).date()

    def metric(name: str) -> Mapping[str, Fraction]:
        document = newest_metric(desk.books, name)
        documents.append(document.document_id)
        return metric_values(document, first, after)

    def model(name: str) -> Mapping[str, int]:
        from tollbook.chargeback.allocate.models import (  # noqa: PLC0415 -- only where one is named
            model_shares,
        )

        held = documents_at(desk.books, Subject.ATTRIBUTION_MODEL, period.start_ns).get(name)
        if held is None:
            raise NoModelError(name)
        documents.append(held.document_id)
        return model_shares(desk, held, period.start, period.end)

    outcome = run_policy(read, cells, Outside(metric, model))
    lines = [_line(one, read.keep) for one in outcome.moved]
    return Computed(policy, lines, outcome.problems, list(dict.fromkeys(documents)), cells)


def _cells(desk: Desk, period: Period, names: tuple[str, ...]) -> Cells:
    own = own_runs(desk, period)
    where = (Filter("adjustment_id", tuple(own), negate=True),) if own else ()
    found = [
        Cell(tuple(_text(row[name]) for name in names), row[measures.COST] or 0, used_of(row))
        for row in sums(desk, period, names, where, _MEASURES)
    ]
    # The same question gets the same answer, whatever order the engine has.
    found.sort(key=lambda cell: tuple((value is not None, value or "") for value in cell.key))
    return Cells(names, found)


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _line(one: Moved, keep: tuple[str, ...]) -> AllocationLine:
    kept = dict(zip(keep, one.kept, strict=True))
    tenant, team, cost_center, feature = one.owner
    return AllocationLine(
        rule=one.rule, method=one.method, role="origin" if one.is_origin else "share",
        **{name: kept.get(name) for name in KEEP_FIELDS},
        tenant=tenant, team=team, cost_center=cost_center, feature=feature,
        amount=one.amount, ratio=one.ratio, unit=one.unit, quantity=one.quantity,
    )  # fmt: skip


assert set(QUANTITIES) >= set(measures.TOKEN_SUMS)
assert dimensions.is_filter("adjustment_id")
