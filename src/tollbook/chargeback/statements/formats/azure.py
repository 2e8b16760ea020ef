"""Azure: cost exports, actual or amortised, with the columns of MCA or of EA; and query answers.

Meters are by model, direction, deployment type (global, data zone, regional), batch and priority;
provisioned throughput is billed by unit-hour. Grain is resource x meter x day, without deployment.
https://learn.microsoft.com/en-us/azure/cost-management-billing/automate/understand-usage-details-fields
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from tollbook.chargeback.statements.formats.base import (
    Cells,
    Format,
    json_object,
    line,
    objects,
    plain_name,
    plain_names,
    readable,
    tags_of,
)
from tollbook.chargeback.statements.model import Basis, Category
from tollbook.chargeback.statements.moments import day_span, month_span
from tollbook.chargeback.statements.told import Group, Told
from tollbook.chargeback.statements.words import kind_in, tier_in, window_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tollbook.chargeback.statements.model import StatementLine
    from tollbook.chargeback.statements.rows_in import Row
    from tollbook.chargeback.statements.told import Reading

PROVIDER: Final = "azure"
_CATEGORIES: Final = {
    "purchase": Category.PURCHASE,
    "refund": Category.CREDIT,
    "credit": Category.CREDIT,
    "tax": Category.TAX,
    "roundingadjustment": Category.ADJUSTMENT,
    "adjustment": Category.ADJUSTMENT,
    "unusedreservation": Category.USAGE,
    "unusedsavingsplan": Category.USAGE,
}
_SERVICES: Final = re.compile(
    r"openai|foundry|\bgpt|deepseek|mistral|llama|\bgrok|cohere|claude|\bphi\b|kimi|embedding",
    re.IGNORECASE,
)
_MARKERS: Final = frozenset({
    "inp", "inpt", "input", "outp", "outpt", "opt", "output", "cached", "cachd", "cchd", "cache",
    "write", "wr", "read", "glbl", "gl", "global", "dz", "dzn", "dzone", "datazone", "data", "zone",
    "regnl", "rgnl", "reg", "regional", "batch", "btch", "tokens", "token", "pp", "priority",
    "prty", "flex", "text", "txt", "audio", "aud", "image", "img", "1m", "1k", "std", "standard",
    "provisioned", "managed", "unit", "units", "ft", "hosting", "training", "hours", "1h", "5m",
})  # fmt: skip
_COST: Final = ("costinbillingcurrency", "pretaxcost", "cost", "extendedcost")
_UNIT: Final = re.compile(r"^\s*(?P<count>[\d,.]+)?\s*(?P<scale>[KM])?", re.IGNORECASE)
_SCALES: Final = {"": 1, "k": 1000, "m": 10**6}


def read_export(rows: Iterable[Row], reading: Reading) -> Iterator[Told]:
    """Yield the lines of model services, a group for each billing account and month."""
    provider = reading.provider or PROVIDER
    for at, values in readable(rows, reading):
        cells = Cells(at, plain_names(values), reading)
        if not _is_model_service(cells):
            reading.pass_over("of other services", cells.number(*_COST))
            continue
        start_ns = cells.at("date", "usagedate", "usagedatetime")
        if start_ns is None:
            continue
        period = cells.first("billingperiodstartdate")
        period_ns = None if period is None else cells.at("billingperiodstartdate")
        span = month_span(start_ns if period_ns is None else period_ns)
        account = reading.account or cells.text("billingaccountid")
        group = Group(provider, account, reading.scope, start_ns=span[0], end_ns=span[1])
        yield Told(group, _line(cells, provider, start_ns, reading))


def _is_model_service(cells: Cells) -> bool:
    meter = cells.text("metername", "meter") or ""
    if "metercategory" not in cells.values and model_of_meter(meter) is None:
        # An answer of the Query API: only its meters tell what it is of.
        return tier_in(meter) == "provisioned"
    said = (
        cells.text("metercategory"), cells.text("metersubcategory"), cells.text("productname"),
        cells.text("product"), cells.text("servicename"), cells.text("metername"),
        cells.text("meter"),
    )  # fmt: skip
    if any(_SERVICES.search(one) for one in said if one):
        return True
    return "metercategory" not in cells.values and kind_in(meter) is not None


def _line(cells: Cells, provider: str, start_ns: int, reading: Reading) -> StatementLine:
    meter = cells.text("metername", "meter") or ""
    whole_name = " ".join(
        one for one in (meter, cells.text("metersubcategory"), cells.text("pricingmodel")) if one
    )
    currency = (
        cells.text("billingcurrencycode", "billingcurrency", "currencycode", "currency") or "USD"
    ).upper()
    amount = cells.pico(*_COST)
    dollars = cells.pico("costinusd") if currency != "USD" else None
    if dollars is None:
        dollars = reading.dollars(cells.row, amount, currency, start_ns)
    category = _CATEGORIES.get(plain_name(cells.text("chargetype") or ""), Category.USAGE)
    tier = tier_in(meter)
    is_tokens = category is Category.USAGE and tier != "provisioned"
    start, end = day_span(start_ns)
    return line(
        start_ns=start, end_ns=end, provider=provider, category=category,
        project=cells.text("resourceid", "instancename", "instanceid"),
        model=model_of_meter(meter), kind=kind_in(meter) if is_tokens else None, tier=tier,
        region=_region(meter, cells), context_window=window_in(meter),
        quantity=_quantity(cells, whole_name) if category is Category.USAGE else None,
        amount=dollars, currency=currency, amount_in_currency=None if currency == "USD" else amount,
        description=meter or cells.text("productname", "product"), tags=_tags(cells),
    )  # fmt: skip


def model_of_meter(meter: str) -> str | None:
    """Return what is left of a meter's name without the words of direction, place and price."""
    kept = meter.replace("text-embedding", "text\0embedding")
    words = [word for word in re.split(r"[\s-]+", kept) if word.lower() not in _MARKERS]
    if not words or not any(character.isdigit() for character in "".join(words)):
        return None
    return "-".join(words).replace("\0", "-")


def _region(meter: str, cells: Cells) -> str | None:
    words = set(re.split(r"[\s-]+", meter.lower()))
    if words & {"glbl", "gl", "global"}:
        return "global"
    place = cells.text("resourcelocation", "resourcelocationnormalized", "meterregion")
    if words & {"dz", "dzn", "dzone", "datazone"} or {"data", "zone"} <= words:
        return "datazone" if place is None else f"datazone:{place.lower()}"
    return None if place is None else place.lower()


def _quantity(cells: Cells, words: str) -> int | None:
    count = cells.number("quantity", "usagequantity", "consumedquantity")
    unit = cells.text("unitofmeasure", "unit")
    if count is None or unit is None:
        return None
    found = _UNIT.match(unit)
    scale = 1
    if found is not None:
        plain = re.sub(r"[,.]", "", found["count"] or "1") or "1"
        scale = int(plain) * _SCALES[(found["scale"] or "").lower()]
    if "hour" in unit.lower() and "provisioned" not in words.lower():
        return None  # hosting of a fine-tuned model: of no kind
    return int((count * Decimal(scale)).to_integral_value())


def _tags(cells: Cells) -> dict[str, str]:
    own = {
        "invoice_id": cells.text("invoiceid"), "subscription": cells.text("subscriptionid",
            "subscriptionguid", "subscriptionname"),
        "resource_group": cells.text("resourcegroup", "resourcegroupname"),
        "cost_center": cells.text("costcenter"), "benefit": cells.text("benefitid"),
        "charge_type": cells.text("chargetype"), "pricing_model": cells.text("pricingmodel"),
    }  # fmt: skip
    return tags_of((*own.items(), *json_object(cells.first("tags")).items()))


def read_query(rows: Iterable[Row], reading: Reading) -> Iterator[Told]:
    """Yield the lines of answers of the Query API: columns by name, rows as lists."""

    def flat() -> Iterator[Any]:
        for row in rows:
            answer = (row.values or {}).get("properties")
            if not isinstance(answer, dict):
                yield row
                continue
            if answer.get("nextLink"):
                reading.is_cut_off = True
            names = [str(one.get("name", "")) for one in objects(answer.get("columns"))]
            rows_told = answer.get("rows")
            for number, values in enumerate(rows_told if isinstance(rows_told, list) else [], 1):
                if not isinstance(values, list):
                    continue
                yield row._replace(
                    number=number, values=dict(zip(names, values, strict=False)), problem=""
                )

    for told in read_export(flat(), reading):
        reading.cover(told.line.start_ns, told.line.end_ns)
        # What was asked for says what it covers, not the month.
        yield told._replace(group=told.group._replace(start_ns=None, end_ns=None))


_DATES: Final = ("date", "usagedate", "usagedatetime")
EXPORT: Final = Format(
    "azure.cost_export", Basis.COST,
    tuple(
        frozenset({meter, date, cost})
        for meter in ("metername", "meterid") for date in _DATES for cost in _COST
    ),
    read_export, has_quantities=True,
)  # fmt: skip
AMORTIZED: Final = Format(
    "azure.cost_export_amortized", Basis.COST, (), read_export, has_quantities=True
)
QUERY: Final = Format(
    "azure.cost_query", Basis.COST, (frozenset({"properties", "columns", "rows"}),), read_query
)
