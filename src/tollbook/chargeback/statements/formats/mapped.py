"""Any other CSV or JSON, by a mapping that says which of its columns means what.

The mapping is a document of the books (``statement_mapping``), written as TOML::

    basis = "cost"                  # or "usage"
    provider = "together"           # unless a column names it

    [fields]                        # ours = "theirs"
    date = "Usage Date"
    amount = "Charge"
    model = "Model"
    kind = "Token Type"
    quantity = "Tokens"

    [kinds]                         # their word = our kind
    prompt = "uncached_input_tokens"
    completion = "visible_output_tokens"

    [units]
    amount = "cents"                # or "currency", the default
    quantity = 1000                 # how many one is

    [constants]
    currency = "EUR"
"""

from __future__ import annotations

import tomllib
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Struct

from tollbook.chargeback.statements.errors import StatementError
from tollbook.chargeback.statements.formats.base import Cells, line, readable, tags_of
from tollbook.chargeback.statements.model import Basis, Category
from tollbook.chargeback.statements.moments import (
    DAY_NS,
    HOUR_NS,
    NotATimeError,
    at_ns,
    day_span,
    month_named,
    month_span,
)
from tollbook.chargeback.statements.told import Group, Told
from tollbook.chargeback.statements.words import kind_in
from tollbook.prices.tiers import tier_of
from tollbook.usage import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tollbook.chargeback.statements.model import StatementLine
    from tollbook.chargeback.statements.rows_in import Row
    from tollbook.chargeback.statements.told import Reading

WORDS: Final = (
    "project", "api_key", "model", "region", "context_window", "description",
)  # fmt: skip
FIELDS: Final = (
    *WORDS, "date", "start", "end", "month", "provider", "account", "kind", "tier", "category",
    "quantity", "requests", "amount", "currency", "invoice_id",
)  # fmt: skip
_CATEGORIES: Final = {one.value.lower(): one for one in Category}
_CENTS: Final = Decimal("0.01")


class Units(Struct, forbid_unknown_fields=True, frozen=True):
    """What one of a number is."""

    amount: Literal["currency", "cents"] = "currency"
    quantity: int = 1


class StatementMapping(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A mapping as it is written; see the module."""

    basis: Basis
    provider: str | None = None
    fields: dict[str, str]
    constants: dict[str, str] = {}
    kinds: dict[str, str] = {}
    units: Units = Units()
    zone: str = "UTC"
    """Of dates and times that name none."""
    bucket: Literal["hour", "day", "month"] = "day"
    """How long a line is where no column says when it ends."""


def parse_mapping(source: str, name: str) -> StatementMapping:
    """Read a mapping, TOML or JSON, and check it whole.

    Raises:
        StatementError: naming the key and what was expected.
    """
    what = f"mapping {name}"
    try:
        is_json = source.lstrip().startswith("{")
        raw = msgspec.json.decode(source) if is_json else tomllib.loads(source)
        mapping = msgspec.convert(raw, StatementMapping)
    except (tomllib.TOMLDecodeError, msgspec.DecodeError, UnicodeError) as error:
        raise StatementError(what, f"cannot be read: {error}") from error
    _check(mapping, what)
    return mapping


def _check(mapping: StatementMapping, what: str) -> None:
    told = {*mapping.fields, *mapping.constants}
    for field in sorted(told.difference(FIELDS)):
        raise StatementError(what, f"fields.{field} is none of {', '.join(FIELDS)}")
    for word, kind in mapping.kinds.items():
        if kind not in {*KINDS, ""}:
            raise StatementError(what, f"kinds.{word}: {kind!r} is none of {', '.join(KINDS)}")
    for needed, of_these in (
        ("fields.date (or start, or month)", {"date", "start", "month"}),
        ("fields.amount, and quantity too,", {"amount", "quantity"}),
        ("provider, and fields.provider too,", {"provider"}),
    ):
        is_told = told & of_these or ("provider" in of_these and mapping.provider)
        if not is_told:
            raise StatementError(what, f"{needed} is missing")
    if mapping.units.quantity < 1:
        raise StatementError(what, "units.quantity must be 1 or more")
    try:
        ZoneInfo(mapping.zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise StatementError(what, f"zone {mapping.zone!r} is no IANA time zone") from error


class MappedRows:
    """Reads rows by a mapping; :meth:`read` is the format's reader."""

    def __init__(self, mapping: StatementMapping) -> None:
        self._mapping = mapping
        self._zone = ZoneInfo(mapping.zone)
        self._used = frozenset(mapping.fields.values())

    def read(self, rows: Iterable[Row], reading: Reading) -> Iterator[Told]:
        """Yield a line for each row; columns that mean nothing to the mapping are its tags."""
        mapping = self._mapping
        for at, values in readable(rows, reading):
            ours: dict[str, Any] = dict(mapping.constants)
            ours |= {name: _deep(values, theirs) for name, theirs in mapping.fields.items()}
            cells = Cells(at, ours, reading)
            span = self._span(cells, reading)
            if span is None:
                continue
            provider = reading.provider or cells.text("provider") or mapping.provider or "unknown"
            group = Group(
                provider, reading.account or cells.text("account"), reading.scope,
                invoice_id=cells.text("invoice_id") if mapping.basis is Basis.INVOICE else None,
            )  # fmt: skip
            others = ((n, v) for n, v in values.items() if n not in self._used)
            yield Told(group, self._line(cells, provider, span, tags_of(others), reading))

    def _span(self, cells: Cells, reading: Reading) -> tuple[int, int] | None:
        try:
            month = cells.text("month")
            if month is not None:
                return month_named(month)
            start_ns = at_ns(cells.first("start", "date"), self._zone)
            end = cells.first("end")
            end_ns = None if end is None else at_ns(end, self._zone)
        except NotATimeError as error:
            reading.problem(cells.row, "date", str(error))
            return None
        if end_ns is not None and end_ns > start_ns:
            return start_ns, end_ns
        return self._bucket(start_ns)

    def _bucket(self, start_ns: int) -> tuple[int, int]:
        if self._mapping.bucket == "month":
            return month_span(start_ns)
        if self._mapping.bucket == "hour":
            return start_ns, start_ns + HOUR_NS
        # A day of another zone begins at its own midnight.
        return day_span(start_ns) if self._mapping.zone == "UTC" else (start_ns, start_ns + DAY_NS)

    def _line(
        self, cells: Cells, provider: str, span: tuple[int, int], tags: dict[str, str],
        reading: Reading,
    ) -> StatementLine:  # fmt: skip
        currency = (cells.text("currency") or "USD").upper()
        unit = _CENTS if self._mapping.units.amount == "cents" else 1
        amount = cells.pico("amount", unit=unit)
        category = _CATEGORIES.get((cells.text("category") or "usage").lower())
        if category is None:
            reading.problem(cells.row, "category", "is none of " + ", ".join(_CATEGORIES))
        word = cells.text("kind") or ""
        kind = self._mapping.kinds.get(word) or (word if word in KINDS else kind_in(word))
        invoice = {"invoice_id": cells.text("invoice_id")}
        return line(
            start_ns=span[0], end_ns=span[1], provider=provider,
            category=category or Category.USAGE, kind=kind or None,
            tier=tier_of(cells.text("tier")),
            quantity=cells.whole("quantity", unit=self._mapping.units.quantity),
            requests=cells.whole("requests"), currency=currency,
            amount=reading.dollars(cells.row, amount, currency, span[0]),
            amount_in_currency=None if currency == "USD" else amount,
            tags=tags | tags_of(invoice.items()), **{name: cells.text(name) for name in WORDS},
        )  # fmt: skip


def _deep(values: dict[str, Any], name: str) -> Any:
    """Return a column, or a value within: ``usage.tokens``."""
    if name in values:
        return values[name]
    found: Any = values
    for part in name.split("."):
        if not isinstance(found, dict):
            return None
        found = found.get(part)
    return found if not isinstance(found, (dict, list)) else None
