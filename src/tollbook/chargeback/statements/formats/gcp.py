"""Google Cloud: the billing export of BigQuery, standard or detailed, as JSON, CSV or Parquet.

https://cloud.google.com/billing/docs/how-to/export-data-bigquery-tables/standard-usage. ``cost`` is
before credits; each of ``credits[]`` becomes a line of its own, so that both are seen and the sum
is what is billed. ``currency_conversion_rate`` is Google's own for the month.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tollbook.chargeback.statements.amounts import NotANumberError, pico
from tollbook.chargeback.statements.formats.base import (
    Cells,
    Format,
    json_object,
    line,
    objects,
    plain_name,
    readable,
    tags_of,
)
from tollbook.chargeback.statements.model import Basis, Category
from tollbook.chargeback.statements.models import model_in
from tollbook.chargeback.statements.moments import NotATimeError, month_named, month_span
from tollbook.chargeback.statements.rows_in import Row
from tollbook.chargeback.statements.told import Group, Told
from tollbook.chargeback.statements.words import kind_in, tier_in, window_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tollbook.chargeback.statements.model import StatementLine
    from tollbook.chargeback.statements.told import Reading

_SERVICES: Final = (
    ("vertex", re.compile(r"vertex|agent platform|aiplatform", re.IGNORECASE)),
    ("gemini", re.compile(r"gemini|generative language", re.IGNORECASE)),
)
_CATEGORIES: Final = {
    "tax": Category.TAX,
    "adjustment": Category.ADJUSTMENT,
    "rounding_error": Category.ADJUSTMENT,
}
_decode = json.JSONDecoder(parse_float=Decimal).decode
_NESTED: Final = ("service", "sku", "project", "location", "usage", "invoice", "price")


def read_export(rows: Iterable[Row], reading: Reading) -> Iterator[Told]:
    """Yield the lines of models and their credits, a group for each account and invoice month."""
    for at, values in readable(_unwrapped(rows), reading):
        cells = Cells(at, _flat(values), reading)
        service = cells.text("servicedescription") or ""
        sku = cells.text("skudescription") or ""
        provider = next((name for name, rule in _SERVICES if rule.search(service)), None)
        is_known = model_in(sku) is not None or kind_in(sku) is not None
        category = _CATEGORIES.get(cells.text("costtype") or "regular", Category.USAGE)
        if provider is None or (category is Category.USAGE and not is_known):
            why = "of other services" if provider is None else "of no model"
            reading.pass_over(why, cells.number("cost"))
            continue
        start_ns, end_ns = cells.at("usagestarttime"), cells.at("usageendtime")
        if start_ns is None or end_ns is None:
            continue
        span = _month(cells, start_ns, reading)
        account = reading.account or cells.text("billingaccountid")
        name = reading.provider or provider
        group = Group(name, account, reading.scope, start_ns=span[0], end_ns=span[1])
        if end_ns <= start_ns:
            end_ns = start_ns + 1
        one = _line(cells, name, (start_ns, end_ns), category, reading)
        yield Told(group, one)
        for credit in _list(cells.first("credits")):
            yield Told(group, _credit(cells, one, credit, reading))


def _unwrapped(rows: Iterable[Row]) -> Iterator[Row]:
    """Yield rows out of answers of BigQuery, where each is a cell of JSON; others as they are."""
    for row in rows:
        if row.values is None or "jobReference" not in row.values:
            yield row
            continue
        for number, one in enumerate(objects(row.values.get("rows")), 1):
            try:
                values = _decode(one["f"][0]["v"])
            except (KeyError, IndexError, TypeError, ValueError):
                yield Row(number, None, "is no row of BigQuery with JSON in its one cell")
                continue
            yield Row(number, values if isinstance(values, dict) else None, "is not an object")


def _flat(values: dict[str, Any]) -> dict[str, Any]:
    """Return ``service.description`` as ``servicedescription``, however it was exported."""
    flat = {plain_name(name): value for name, value in values.items()}
    for name in _NESTED:
        inner = flat.get(name)
        if isinstance(inner, dict) or (isinstance(inner, str) and inner[:1] == "{"):
            for key, value in json_object(inner).items():
                flat.setdefault(plain_name(f"{name}{key}"), value)
    return flat


def _list(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, str) and value[:1] == "[":
        try:
            value = msgspec.json.decode(value)
        except msgspec.DecodeError:
            return []
    return objects(value)


def _month(cells: Cells, start_ns: int, reading: Reading) -> tuple[int, int]:
    named = cells.text("invoicemonth")
    if named is not None:
        try:
            return month_named(named)
        except NotATimeError as error:
            reading.problem(cells.row, "invoice.month", str(error))
    return month_span(start_ns)


def _dollars(cells: Cells, amount: int | None, at_ns: int, reading: Reading) -> int | None:
    currency = (cells.text("currency") or "USD").upper()
    per_dollar = cells.number("currencyconversionrate")
    if amount is None or currency == "USD":
        return amount
    if per_dollar:
        return round(Fraction(amount) / Fraction(per_dollar))
    return reading.dollars(cells.row, amount, currency, at_ns)


def _line(
    cells: Cells, provider: str, span: tuple[int, int], category: Category, reading: Reading
) -> StatementLine:
    sku = cells.text("skudescription") or ""
    currency = (cells.text("currency") or "USD").upper()
    amount = cells.pico("cost")
    kind = kind_in(sku) if category is Category.USAGE else None
    return line(
        start_ns=span[0], end_ns=span[1], provider=provider, category=category,
        project=cells.text("projectid"), model=model_in(sku), kind=kind,
        tier=tier_in(sku), region=cells.text("locationregion", "locationlocation"),
        context_window=window_in(sku),
        quantity=cells.whole("usageamount") if kind is not None else None,
        amount=_dollars(cells, amount, span[0], reading), currency=currency,
        amount_in_currency=None if currency == "USD" else amount, description=sku or None,
        tags=_tags(cells),
    )  # fmt: skip


def _credit(
    cells: Cells, of: StatementLine, credit: dict[str, Any], reading: Reading
) -> StatementLine:
    try:
        amount = pico(credit.get("amount"))
    except NotANumberError as error:
        reading.problem(cells.row, "credits.amount", str(error))
        amount = None
    name = str(credit.get("full_name") or credit.get("name") or "credit")
    return line(
        start_ns=of.start_ns, end_ns=of.end_ns, provider=of.provider, category=Category.CREDIT,
        project=of.project, model=of.model, tier=of.tier, region=of.region,
        context_window=of.context_window,
        amount=_dollars(cells, amount, of.start_ns, reading), currency=of.currency,
        amount_in_currency=None if of.currency == "USD" else amount, description=name,
        tags=of.tags | tags_of([("credit_type", credit.get("type")), ("sku", of.description)]),
    )  # fmt: skip


def _tags(cells: Cells) -> dict[str, str]:
    given = cells.first("labels")
    labels = given if isinstance(given, (list, dict)) else _list(given) or json_object(given)
    own = {
        "sku_id": cells.text("skuid"), "cost_type": cells.text("costtype"),
        "invoice_month": cells.text("invoicemonth"),
    }  # fmt: skip
    return tags_of((*own.items(), *json_object(labels).items()))


EXPORT: Final = Format(
    "gcp.billing_export", Basis.COST,
    (
        frozenset({"usagestarttime", "cost", "sku"}),
        frozenset({"usagestarttime", "cost", "skudescription"}),
    ),
    read_export, has_quantities=True,
)  # fmt: skip
