"""From a line of a statement to its calls, and to what the provider billed for that time.

Nothing is stored for it: the id names period and kind of line, the line is found among those of the
period, and its query selects its entries, which add up to it.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
from msgspec.structs import replace

from tollbook import clock
from tollbook.chargeback.filing import fixed_query
from tollbook.chargeback.invoices.lines import parse_line_id, query_of, read_lines
from tollbook.chargeback.periods import the_period
from tollbook.chargeback.statements.model import Basis
from tollbook.chargeback.statements.models import model_key
from tollbook.chargeback.statements.shelf import current_lines, statements
from tollbook.errors import TollbookError
from tollbook.money import usd_text
from tollbook.reports.calls import plain
from tollbook.reports.table import entries, selected, to_sql
from tollbook.reports.wide import wide_rows
from tollbook.usage import KINDS

if TYPE_CHECKING:
    from tollbook.chargeback.invoices.lines import Line
    from tollbook.chargeback.periods import Period
    from tollbook.chargeback.statements.model import Statement, StatementLine
    from tollbook.desk import Desk
    from tollbook.reports.query import SpendQuery

WINDOWS_MAX: Final = 1_000
_SHOWN: Final = (
    "entry_id", "kind", "call_id", "part", "called_at", "booked_at", "tenant_id", "user_id",
    "feature", "provider", "model_requested", "model_actual", "service_tier", "price_tier",
    "region", "status", "usage_source", "provider_response_id", "replaces", "reason",
    "adjustment", "adjustment_id", "corrects", "statement_id", *KINDS, "price_state",
    "price_card_id", "cost_usd", "billing_rule_id", "billable_usd",
)  # fmt: skip


class NoLineError(TollbookError):
    """A line that is asked for does not exist."""

    def __init__(self, line_id: str, why: str) -> None:
        super().__init__(f"no line {line_id[:64]!r}: {why}")


class Found(NamedTuple):
    """A line, and the query of its entries."""

    line: Line
    query: SpendQuery
    period: Period


def find_line(desk: Desk, line_id: str, upto_entry: int | None = None) -> Found:
    """Find a line of a statement.

    Args:
        desk: what is open.
        line_id: as the statement has it.
        upto_entry: ``last_entry_id`` of the statement's manifest: without what was booked since.

    Raises:
        NoLineError: it is none, or has no entries now.
    """
    name = parse_line_id(line_id)
    if name is None:
        raise NoLineError(line_id, "expected one such as 2026-10-tl-0123456789abcdef")
    period = the_period(desk.books, desk.config, name.period)
    query = fixed_query(desk, period)
    window = query.entry_window
    assert window is not None, "of a period it was looked up"
    if upto_entry is not None:
        upto = min(upto_entry, window.upto_entry or upto_entry)
        query = replace(query, entry_window=replace(window, upto_entry=upto))
    for one in read_lines(desk.reader, query, period, name.by, name.what):
        if one.line_id == line_id:
            return Found(one, query_of(query, period, one), period)
    raise NoLineError(line_id, f"{name.period} has no such line; was it of another ledger?")


def entries_of(desk: Desk, found: Found, after: int, limit: int) -> list[dict[str, Any]]:
    """Return entries of a line in the order in which they were booked.

    Args:
        desk: what is open.
        found: the line.
        after: the id of the last entry that was seen; 0 is none.
        limit: at most so many.

    Raises:
        QueryTimeoutError: it took too long.
    """
    rows = selected(entries(), found.query)
    page = rows.filter(rows.entry_id > after).order_by("entry_id").limit(limit).select(*_SHOWN)
    told = [
        {name: plain(value) for name, value in zip(_SHOWN, row, strict=True)}
        for row in desk.reader.fetch(to_sql(page))
    ]
    return [
        {name: value for name, value in row.items() if value is not None or name == "cost_usd"}
        for row in told
    ]


def totals_of(desk: Desk, found: Found) -> dict[str, Any]:
    """Return the sum of all entries of a line, which is the line's own amount."""
    asked = replace(found.query, by=(), measures=("calls", "cost_usd", "billable_usd"))
    (row,) = wide_rows(desk.reader, asked)
    ((count,),) = desk.reader.fetch(to_sql(selected(entries(), found.query).count().as_table()))
    return {
        "entries": int(count), "calls": row["calls"] or 0,
        **{name: None if row[name] is None else usd_text(row[name])
           for name in ("cost_usd", "billable_usd")},
    }  # fmt: skip


class _Use(NamedTuple):
    provider: str
    model: str | None


def windows_of(desk: Desk, found: Found) -> tuple[list[dict[str, Any]], bool]:
    """Return what providers' statements say of the days, providers and models of a line.

    Returns:
        Lines of statements, and whether there are more than :data:`WINDOWS_MAX`.

    Raises:
        BooksError: the books cannot be read.
    """
    if not statements(desk.books):
        return [], False
    days: dict[_Use, set[datetime]] = defaultdict(set)
    asked = replace(
        found.query, by=("provider", "model", "day"), tz="UTC", measures=("calls", "cost_usd")
    )
    for row in wide_rows(desk.reader, asked):
        if row["provider"] is not None:
            days[_Use(row["provider"], row["model"])].add(row["day"].replace(tzinfo=UTC))
    told: list[dict[str, Any]] = []
    for provider in sorted({use.provider for use in days}):
        used = {use.model: some for use, some in days.items() if use.provider == provider}
        told += _told(desk, provider, used, found)
    return told[:WINDOWS_MAX], len(told) > WINDOWS_MAX


def _told(
    desk: Desk, provider: str, used: dict[str | None, set[datetime]], found: Found
) -> list[dict[str, Any]]:
    every = {day for some in used.values() for day in some}
    since, until = min(every), max(every) + timedelta(days=1)
    keys: dict[str | None, set[datetime]] = defaultdict(set)
    for model, some in used.items():
        keys[None if model is None else model_key(model)] |= some
    known = {one.statement_id: one for one in statements(desk.books, provider=provider)}
    rows = []
    for basis in (Basis.USAGE, Basis.COST):
        lines = current_lines(desk.books, basis, _ns(since), _ns(until), provider)
        rows += [_row(known, basis, one) for one in lines if _concerns(one, keys, every)]
    month = found.period
    invoiced = current_lines(
        desk.books, Basis.INVOICE, month.start_ns, month.end_ns, provider, by_bill=True
    )
    return rows + [
        _row(known, Basis.INVOICE, one) for one in invoiced if _concerns(one, keys, None)
    ]


def _concerns(
    one: StatementLine, keys: dict[str | None, set[datetime]], every: set[datetime] | None
) -> bool:
    """Whether a line speaks of a model on a day when it was used; of an invoice, of the model."""
    known = None not in keys and one.model is not None
    if known and model_key(one.model or "") not in keys:
        return False
    if every is None:
        return True
    days = keys.get(model_key(one.model), every) if one.model is not None else every
    return any(_ns(day) < one.end_ns and one.start_ns < _ns(day + timedelta(days=1))
               for day in days)  # fmt: skip


def _row(known: dict[str, Statement], basis: Basis, one: StatementLine) -> dict[str, Any]:
    statement = known.get(one.statement_id)
    return {
        "basis": basis.value, "statement_id": one.statement_id, "line": one.line,
        "source": None if statement is None else statement.source,
        "finality": None if statement is None else statement.finality.value,
        "invoice_id": None if statement is None else statement.invoice_id,
        "provider": one.provider, "start": _time(one.start_ns), "end": _time(one.end_ns),
        "model": one.model, "kind": one.kind, "tier": one.tier, "quantity": one.quantity,
        "amount_usd": None if one.amount is None else usd_text(one.amount),
        "description": one.description,
    }  # fmt: skip


def _ns(at: datetime) -> int:
    return int(at.timestamp()) * clock.NS_PER_S


def _time(at_ns: int) -> str:
    return f"{datetime.fromtimestamp(at_ns // clock.NS_PER_S, tz=UTC):%Y-%m-%dT%H:%M:%SZ}"


def line_told(line: Line) -> dict[str, Any]:
    """Return a line as JSON has it: what it is a sum of, and its amounts as text."""
    told: dict[str, Any] = msgspec.to_builtins(line)
    for name in ("cost", "billable"):
        amount = told.pop(name)
        told[f"{name}_usd"] = None if amount is None else usd_text(amount)
    return told | {"key": dict(line.key)}
