"""Allocation runs as they were made: the whole result of each, beside what it booked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec
import sqlalchemy as sa
from msgspec import Struct

from tollbook import clock
from tollbook.books.events import current_user
from tollbook.books.tables_periods import allocation_runs

if TYPE_CHECKING:
    from tollbook.books.store import Books


class AllocationLine(Struct, frozen=True, kw_only=True):
    """What one rule takes from an origin, or gives to a receiver, of one pool.

    A pool is what one rule takes of one provider, and of one model and price tier where the policy
    keeps those. The lines of a pool add up to 0, the ratios of its shares to exactly 1.
    """

    rule: str
    method: str
    """``even``, ``fixed``, ``proportional``, ``metric``, ``weighted``, ``blend``, ``tiered``,
    ``model``, ``keep``."""
    role: Literal["origin", "share"]
    provider: str | None = None
    model: str | None = None
    price_tier: str | None = None
    tenant: str | None = None
    team: str | None = None
    cost_center: str | None = None
    feature: str | None = None
    amount: int
    """In pico; of an origin what it gives, negative where it had cost."""
    ratio: str | None = None
    """Of a share: 12 digits (FOCUS AllocatedRatio)."""
    unit: str | None = None
    """What was counted (FOCUS UsageUnit), and how much of it the receiver has (UsageQuantity)."""
    quantity: str | None = None

    @property
    def owner(self) -> tuple[str | None, str | None, str | None, str | None]:
        """Tenant, team, cost centre, feature."""
        return self.tenant, self.team, self.cost_center, self.feature


class AllocationRun(Struct, frozen=True, kw_only=True):
    """One run for a period.

    ``lines`` is the result as a whole: what the period's allocation entries of all runs add up to.
    """

    run_id: str
    period: str
    sequence: int
    policy_id: str
    documents: list[str]
    """Ids of all documents that it rests on, the policy among them."""
    lines: list[AllocationLine]
    problems: list[str]
    booked: int
    """Entries that this run has added."""
    author: str
    at_ns: int

    def method_id(self, rule: str) -> str:
        """Return what names a rule of this policy for ever (FOCUS AllocatedMethodId)."""
        return f"{self.policy_id}#{rule}"


class _Body(Struct, frozen=True):
    documents: list[str]
    lines: list[AllocationLine]
    problems: list[str]


def keep_allocation(
    books: Books, run_id: str, period: str, sequence: int, *, policy_id: str,
    documents: list[str], lines: list[AllocationLine], problems: list[str], booked: int,
    author: str | None,
) -> AllocationRun:  # fmt: skip
    """Keep a run.

    Raises:
        BooksError: the books cannot be written.
    """
    kept = AllocationRun(
        run_id=run_id, period=period, sequence=sequence, policy_id=policy_id, documents=documents,
        lines=lines, problems=problems, booked=booked, author=author or current_user(),
        at_ns=clock.unix_ns(),
    )  # fmt: skip
    with books.write() as connection:
        connection.execute(
            allocation_runs.insert().values(
                run_id=run_id, period=period, sequence=sequence, policy_id=policy_id,
                booked=booked, author=kept.author, at_ns=kept.at_ns,
                body=msgspec.json.encode(_Body(documents, lines, problems)).decode(),
            )
        )  # fmt: skip
    return kept


def allocations(books: Books, period: str) -> list[AllocationRun]:
    """Return the runs of a period, oldest first.

    Raises:
        BooksError: the books cannot be read.
    """
    query = sa.select(allocation_runs).where(allocation_runs.c.period == period)
    with books.read() as connection:
        rows = connection.execute(query.order_by(allocation_runs.c.sequence)).all()
    return [_run(row) for row in rows]


def newest_allocation(books: Books, period: str) -> AllocationRun | None:
    """Return the newest run of a period, whose lines are what is in force; None: there is none.

    Raises:
        BooksError: the books cannot be read.
    """
    query = (
        sa.select(allocation_runs)
        .where(allocation_runs.c.period == period)
        .order_by(allocation_runs.c.sequence.desc())
        .limit(1)
    )
    with books.read() as connection:
        row = connection.execute(query).first()
    return None if row is None else _run(row)


def _run(row: sa.Row[tuple[object, ...]]) -> AllocationRun:
    body = msgspec.json.decode(row.body, type=_Body)
    return AllocationRun(
        run_id=row.run_id, period=row.period, sequence=row.sequence, policy_id=row.policy_id,
        documents=body.documents, lines=body.lines, problems=body.problems, booked=row.booked,
        author=row.author, at_ns=row.at_ns,
    )  # fmt: skip
