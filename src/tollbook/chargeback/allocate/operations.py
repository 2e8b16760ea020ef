"""What can be asked of allocation: policies, metrics, shared costs, preview, difference, run."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

from tollbook.books.documents import Subject, document_history, put_document
from tollbook.chargeback.allocate import answers, models_operations, models_split_operations
from tollbook.chargeback.allocate.booking import book
from tollbook.chargeback.allocate.compute import DEFAULT_POLICY, compute, policy_of
from tollbook.chargeback.allocate.costs import enter_cost, entered_costs
from tollbook.chargeback.allocate.metrics import Aggregate, read_metric_csv
from tollbook.chargeback.allocate.policy import read_policy
from tollbook.chargeback.allocate.shelf import allocations, newest_allocation
from tollbook.chargeback.periods.cutoffs import the_period, timezone_of_periods
from tollbook.chargeback.periods.period import Period
from tollbook.desk import Operation
from tollbook.money import usd_text

if TYPE_CHECKING:
    from tollbook.books.documents import Document
    from tollbook.desk import Desk

CURRENCY: Final = "USD"


class ImportPolicy(Struct, forbid_unknown_fields=True, kw_only=True):
    """A policy, from a month on."""

    body: dict[str, Any]
    effective_from: str
    """First month that it is for, ``2026-10``."""
    reason: str
    name: str = DEFAULT_POLICY
    author: str | None = None


class ListPolicies(Struct, forbid_unknown_fields=True, kw_only=True):
    """Which policies."""

    name: str | None = None


class WhichPeriod(Struct, forbid_unknown_fields=True, kw_only=True):
    """A month."""

    period: str


class WhichPolicy(Struct, forbid_unknown_fields=True, kw_only=True):
    """A policy over a month."""

    period: str
    policy: str = DEFAULT_POLICY
    version: int | None = None


class WhichDifference(Struct, forbid_unknown_fields=True, kw_only=True):
    """Two policies, or two versions of one, over a month."""

    period: str
    policy: str = DEFAULT_POLICY
    version: int | None = None
    other_policy: str | None = None
    other_version: int | None = None


class EnterCost(Struct, forbid_unknown_fields=True, kw_only=True):
    """What a shared cost is in a month, as a whole."""

    period: str
    name: str
    amount: str
    """Dollars as decimal text."""
    owner: str | None = None
    reason: str = "typed in"


class ImportMetric(Struct, forbid_unknown_fields=True, kw_only=True):
    """Rows of owner, date and quantity as CSV text."""

    name: str
    csv: str
    reason: str
    unit: str = "units"
    aggregate: Aggregate = "last"
    author: str | None = None


def import_policy(desk: Desk, asked: ImportPolicy) -> dict[str, Any]:
    """Check a policy and keep it as a new version."""
    body = msgspec.json.encode(read_policy(msgspec.json.encode(asked.body))).decode()
    zone = timezone_of_periods(desk.books, desk.config)
    document, is_new = put_document(
        desk.books, Subject.ALLOCATION_POLICY, asked.name, body,
        effective_from_ns=Period.parse(asked.effective_from, zone).start_ns,
        author=asked.author or desk.author, reason=asked.reason,
    )  # fmt: skip
    return {"rows": [_document(document)], "is_new": is_new}


def list_policies(desk: Desk, asked: ListPolicies) -> dict[str, Any]:
    """Return every version of the policies, oldest first."""
    found = document_history(desk.books, Subject.ALLOCATION_POLICY, asked.name)
    return {"rows": [_document(one) for one in found]}


def _document(one: Document) -> dict[str, Any]:
    return {
        "name": one.name, "version": one.version, "effective_from": _when(one.effective_from_ns),
        "author": one.author, "reason": one.reason, "created_at": _when(one.created_at_ns),
        "body": msgspec.json.decode(one.body),
    }  # fmt: skip


def _when(at_ns: int) -> str:
    at = datetime.fromtimestamp(at_ns // 10**9, UTC)
    return at.isoformat().replace("+00:00", "Z")


def preview(desk: Desk, asked: WhichPolicy) -> dict[str, Any]:
    """Return what a policy would move, without booking it."""
    period = the_period(desk.books, desk.config, asked.period)
    computed = compute(desk, period, policy_of(desk, period, asked.policy, asked.version))
    return answers.of_lines(computed.lines, computed.policy.document_id) | {
        "period": period.name, "policy": computed.policy.document_id,
        "owners": answers.by_owner(computed), "problems": computed.problems, "currency": CURRENCY,
    }  # fmt: skip


def differ(desk: Desk, asked: WhichDifference) -> dict[str, Any]:
    """Return by owner what two policies, or two versions of one, make of a period."""
    period = the_period(desk.books, desk.config, asked.period)
    left = compute(desk, period, policy_of(desk, period, asked.policy, asked.version))
    other = asked.other_policy or asked.policy
    right = compute(desk, period, policy_of(desk, period, other, asked.other_version))
    return {
        "rows": answers.changes(left, right), "period": period.name,
        "left": left.policy.document_id, "right": right.policy.document_id,
        "problems": [*left.problems, *right.problems], "currency": CURRENCY,
    }  # fmt: skip


def run(desk: Desk, asked: WhichPolicy) -> dict[str, Any]:
    """Book what a policy moves, or the difference to what was booked before."""
    period = the_period(desk.books, desk.config, asked.period)
    computed = compute(desk, period, policy_of(desk, period, asked.policy, asked.version))
    made, booked = book(desk, period, computed)
    return answers.of_lines(computed.lines, made.policy_id) | {
        "period": period.name, "policy": made.policy_id, "run_id": made.run_id, "booked": booked,
        "owners": answers.by_owner(computed), "problems": computed.problems, "currency": CURRENCY,
    }  # fmt: skip


def show(desk: Desk, asked: WhichPeriod) -> dict[str, Any]:
    """Return the run in force of a period, and which runs there were."""
    period = the_period(desk.books, desk.config, asked.period)
    made = newest_allocation(desk.books, period.name)
    lines = [] if made is None else made.lines
    return answers.of_lines(lines, "" if made is None else made.policy_id) | {
        "period": period.name,
        "policy": None if made is None else made.policy_id,
        "problems": [] if made is None else made.problems,
        "runs": [
            {"run_id": one.run_id, "policy": one.policy_id, "booked": one.booked,
             "author": one.author, "at": _when(one.at_ns), "documents": one.documents}
            for one in allocations(desk.books, period.name)
        ],
        "currency": CURRENCY,
    }  # fmt: skip


def cost(desk: Desk, asked: EnterCost) -> dict[str, Any]:
    """Enter a shared cost of a month; the difference to what was entered before is booked."""
    period = the_period(desk.books, desk.config, asked.period)
    _, before = enter_cost(
        desk, period, asked.name, asked.amount, owner=asked.owner, reason=asked.reason
    )
    return costs(desk, WhichPeriod(period=period.name)) | {"before_usd": usd_text(before)}


def costs(desk: Desk, asked: WhichPeriod) -> dict[str, Any]:
    """Return the shared costs that were entered for a month."""
    period = the_period(desk.books, desk.config, asked.period)
    rows = [
        {"name": one["name"], "owner": one["owner"], "cost_usd": usd_text(one["cost"])}
        for one in entered_costs(desk, period)
    ]
    return {"rows": rows, "period": period.name, "currency": CURRENCY}


def import_metric(desk: Desk, asked: ImportMetric) -> dict[str, Any]:
    """Check a metric and keep it as a new version."""
    metric = read_metric_csv(asked.name, asked.csv, unit=asked.unit, aggregate=asked.aggregate)
    document, is_new = put_document(
        desk.books, Subject.METRIC, asked.name, msgspec.json.encode(metric).decode(),
        effective_from_ns=0, author=asked.author or desk.author, reason=asked.reason,
    )  # fmt: skip
    rows = [{"name": asked.name, "version": document.version, "rows": len(metric.rows)}]
    return {"rows": rows, "is_new": is_new}


def list_metrics(desk: Desk, asked: ListPolicies) -> dict[str, Any]:
    """Return every version of the metrics, oldest first."""
    rows = []
    for one in document_history(desk.books, Subject.METRIC, asked.name):
        row = _document(one)
        body = row.pop("body")
        rows.append(row | {
            "unit": body.get("unit"), "aggregate": body.get("aggregate"),
            "rows": len(body.get("rows", [])),
        })  # fmt: skip
    return {"rows": rows}


RUN: Final = Operation(
    "allocate.run", "POST", "/allocations/run", WhichPolicy, run,
    "Book what an allocation policy moves in a period.", writes=True,
)  # fmt: skip
SHOW: Final = Operation(
    "allocate.show", "GET", "/allocations", WhichPeriod, show,
    "Return the allocation in force of a period.",
)  # fmt: skip
PREVIEW: Final = Operation(
    "allocate.preview", "GET", "/allocations/preview", WhichPolicy, preview,
    "Return what an allocation policy would move.",
)  # fmt: skip
DIFF: Final = Operation(
    "allocate.diff", "GET", "/allocations/diff", WhichDifference, differ,
    "Compare two allocation policies by owner.",
)  # fmt: skip
IMPORT_POLICY: Final = Operation(
    "allocate.policy", "POST", "/allocations/policies", ImportPolicy, import_policy,
    "Keep a new version of an allocation policy.",
)  # fmt: skip
POLICIES: Final = Operation(
    "allocate.policies", "GET", "/allocations/policies", ListPolicies, list_policies,
    "List the versions of allocation policies.",
)  # fmt: skip
COST: Final = Operation(
    "allocate.cost", "POST", "/allocations/costs", EnterCost, cost,
    "Enter a shared cost of a month.", writes=True,
)  # fmt: skip
COSTS: Final = Operation(
    "allocate.costs", "GET", "/allocations/costs", WhichPeriod, costs,
    "List the shared costs of a month.",
)  # fmt: skip
IMPORT_METRIC: Final = Operation(
    "allocate.metric", "POST", "/allocations/metrics", ImportMetric, import_metric,
    "Keep a new version of a metric.",
)  # fmt: skip
METRICS: Final = Operation(
    "allocate.metrics", "GET", "/allocations/metrics", ListPolicies, list_metrics,
    "List the versions of metrics.",
)  # fmt: skip
OPERATIONS: Final = (
    RUN, SHOW, PREVIEW, DIFF, IMPORT_POLICY, POLICIES, COST, COSTS, IMPORT_METRIC, METRICS,
    *models_operations.OPERATIONS, *models_split_operations.OPERATIONS,
)  # fmt: skip
