"""Revenue from a CSV file: columns by name, or by a mapping; strict, and nothing half-read."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final

from tollbook.chargeback.margin.model import (
    CREDIT_NOTE,
    INVOICE,
    TEXT_CHARS_MAX,
    RevenueError,
    RevenueLine,
)
from tollbook.chargeback.statements.amounts import NotANumberError, pico
from tollbook.prices.fx import CURRENCY, USD

if TYPE_CHECKING:
    from collections.abc import Mapping

FIELDS: Final = (
    "line_id", "document_id", "customer_id", "tenant", "plan", "feature", "issued", "start", "end",
    "amount", "currency", "description",
)  # fmt: skip
"""``line_id``, ``amount`` and ``issued`` are needed, and ``tenant`` or ``customer_id``. Dates are
days in UTC, the end included; without them the line pays for the day on which it was issued."""
_NEEDED: Final = ("line_id", "amount", "issued")
ROWS_MAX: Final = 200_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_NS: Final = 86_400 * 10**9
_YEARS: Final = range(1970, 2262)
"""What 64 bits of nanoseconds hold."""


def read_csv(
    text: str, source: str, mapping: Mapping[str, str], tenants: Mapping[str, str],
    where: str = "",
) -> list[RevenueLine]:  # fmt: skip
    """Read lines of revenue.

    Args:
        text: the file.
        source: its name, within which line ids are unique.
        mapping: our names (:data:`FIELDS`) to the file's columns; ours where it names none.
        tenants: of customers, by their ids.
        where: what messages name; the source if empty.

    Raises:
        RevenueError: naming row and column.
    """
    where = where or source
    unknown = set(mapping) - set(FIELDS)
    if unknown:
        raise RevenueError(where, f"mapping of {min(unknown)!r}; expected {', '.join(FIELDS)}")
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        columns = reader.fieldnames or []
        for name in _NEEDED:
            if mapping.get(name, name) not in columns:
                raise RevenueError(where, f"has no column {mapping.get(name, name)!r} ({name})")
        lines = []
        for at, row in enumerate(reader, 2):
            if at > ROWS_MAX:
                raise RevenueError(where, f"has more than {ROWS_MAX:,} rows")
            if None in row:
                raise RevenueError(f"{where} row {at}", "has more cells than the file has columns")
            cells = {name: _cell(row.get(mapping.get(name, name))) for name in FIELDS}
            lines.append(_line(cells, source, f"{where} row {at}", tenants))
    except csv.Error as error:
        raise RevenueError(where, f"is no CSV file: {error}") from error
    return lines


def _cell(value: object) -> str | None:
    text = value.strip() if isinstance(value, str) else ""
    return text[:TEXT_CHARS_MAX] or None


def _line(
    cells: Mapping[str, str | None], source: str, where: str, tenants: Mapping[str, str]
) -> RevenueLine:
    line_id, customer = cells["line_id"], cells["customer_id"]
    if line_id is None:
        raise RevenueError(where, "line_id is empty")
    currency = (cells["currency"] or USD).upper()
    if not CURRENCY.fullmatch(currency):
        raise RevenueError(where, f"currency {currency[:20]!r} is none of ISO 4217")
    try:
        amount = pico(cells["amount"])
    except NotANumberError as error:
        raise RevenueError(where, f"amount {error}") from error
    if amount is None:
        raise RevenueError(where, "amount is empty")
    issued_ns = _day_ns(cells["issued"], where, "issued")
    start_ns = issued_ns if cells["start"] is None else _day_ns(cells["start"], where, "start")
    end_ns = start_ns if cells["end"] is None else _day_ns(cells["end"], where, "end")
    if end_ns < start_ns:
        raise RevenueError(where, "end is before start")
    mapped = tenants.get(customer) if customer is not None else None
    return RevenueLine(
        source=source, line_id=line_id, document_id=cells["document_id"] or line_id,
        category=CREDIT_NOTE if amount < 0 else INVOICE, customer_id=customer,
        tenant_id=cells["tenant"] or mapped, plan=cells["plan"], feature=cells["feature"],
        issued_at_ns=issued_ns, start_ns=start_ns, end_ns=end_ns + _DAY_NS, amount=amount,
        currency=currency, description=cells["description"],
    )  # fmt: skip


def _day_ns(text: str | None, where: str, field: str) -> int:
    try:
        day = date.fromisoformat(text or "")
    except ValueError as error:
        problem = f"{field} {text!r} is no date such as 2026-10-31"
        raise RevenueError(where, problem) from error
    if day.year not in _YEARS:
        raise RevenueError(where, f"{field} {text!r} is not in {_YEARS[0]} to {_YEARS[-1]}")
    moment = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000
