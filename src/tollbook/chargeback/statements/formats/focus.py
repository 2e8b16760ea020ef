"""FOCUS 1.0 to 1.4, Cost and Usage: what clouds export and what any provider may.

https://focus.finops.org. ``BilledCost`` is what counts here: ``EffectiveCost`` spreads what was
prepaid. Corrections of a closed period (``ChargeClass``) belong to the billing period that bills
them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from tollbook.chargeback.statements.formats.aws import model_of, split_usage_type
from tollbook.chargeback.statements.formats.azure import model_of_meter
from tollbook.chargeback.statements.formats.base import (
    Cells,
    Format,
    json_object,
    line,
    plain_names,
    readable,
    tags_of,
)
from tollbook.chargeback.statements.model import Basis, Category
from tollbook.chargeback.statements.models import model_in
from tollbook.chargeback.statements.moments import month_span
from tollbook.chargeback.statements.told import Group, Told
from tollbook.chargeback.statements.words import kind_in, tier_in, window_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tollbook.chargeback.statements.model import StatementLine
    from tollbook.chargeback.statements.rows_in import Row
    from tollbook.chargeback.statements.told import Reading

_PROVIDERS: Final = (
    ("bedrock", re.compile(r"aws|amazon", re.IGNORECASE)),
    ("azure", re.compile(r"microsoft|azure", re.IGNORECASE)),
    ("vertex", re.compile(r"google", re.IGNORECASE)),
    ("openai", re.compile(r"openai", re.IGNORECASE)),
    ("anthropic", re.compile(r"anthropic", re.IGNORECASE)),
    ("openrouter", re.compile(r"openrouter", re.IGNORECASE)),
)
_CLOUDS: Final = frozenset({"bedrock", "azure", "vertex"})
_MODEL_SERVICES: Final = re.compile(
    r"bedrock|openai|foundry|vertex|gemini|generative|claude", re.IGNORECASE
)
_CATEGORIES: Final = {one.value.lower(): one for one in Category}
_UNIT: Final = re.compile(r"^(?:(?P<count>\d+) )?(?P<unit>[A-Za-z][\w -]*)$")
_MODEL_KEYS: Final = ("ModelId", "x_ModelId", "ModelVersion", "x_Model", "Model", "x_model")


def read_focus(rows: Iterable[Row], reading: Reading) -> Iterator[Told]:
    """Yield the lines of models, a group for each provider, account and billing period."""
    for at, values in readable(rows, reading):
        cells = Cells(at, plain_names(values), reading)
        provider = reading.provider or _provider(cells)
        said = " ".join(
            cells.text(name) or "" for name in ("servicename", "skumeter", "chargedescription")
        )
        if provider in _CLOUDS and not _MODEL_SERVICES.search(said):
            reading.pass_over("of other services", cells.number("billedcost"))
            continue
        start_ns, end_ns = cells.at("chargeperiodstart"), cells.at("chargeperiodend")
        if start_ns is None or end_ns is None:
            continue
        billed_ns = cells.at("billingperiodstart")
        billed_until_ns = cells.at("billingperiodend")
        span = month_span(start_ns)
        if billed_ns is not None and billed_until_ns is not None and billed_until_ns > billed_ns:
            span = billed_ns, billed_until_ns
        account = reading.account or cells.text("billingaccountid")
        group = Group(provider, account, reading.scope, start_ns=span[0], end_ns=span[1])
        one = _line(cells, provider, (start_ns, max(end_ns, start_ns + 1)), reading)
        yield Told(group, one)


def _provider(cells: Cells) -> str:
    named = cells.text("serviceprovidername", "providername", "invoiceissuername", "publishername")
    found = (name for name, rule in _PROVIDERS if named is not None and rule.search(named))
    plain = re.sub(r"[^a-z0-9_-]+", "-", (named or "unknown").lower()).strip("-") or "unknown"
    return next(found, plain)


def _line(cells: Cells, provider: str, span: tuple[int, int], reading: Reading) -> StatementLine:
    details = json_object(cells.first("skupricedetails", "xskudetails"))
    meter = cells.text("skumeter", "xskumeter", "xusagetype") or ""
    description = cells.text("chargedescription") or ""
    words = f"{meter} {details.get('TokenDirection', details.get('x_TokenDirection', ''))}"
    named = next((str(details[name]) for name in _MODEL_KEYS if details.get(name)), None)
    category = _CATEGORIES.get((cells.text("chargecategory") or "usage").lower(), Category.USAGE)
    currency = (cells.text("billingcurrency") or "USD").upper()
    amount = cells.pico("billedcost")
    is_usage = category is Category.USAGE
    model = named or cells.text("xmodel", "xmodelid") or _model(provider, meter, description)
    return line(
        start_ns=span[0], end_ns=span[1], provider=provider, category=category,
        project=cells.text("subaccountid"), model=model,
        kind=(_cache_kind(details) or kind_in(words) or kind_in(description)) if is_usage else None,
        tier=tier_in(meter) or tier_in(description),
        region=cells.text("regionid"), context_window=window_in(f"{meter} {description}"),
        quantity=_quantity(cells) if is_usage else None,
        amount=reading.dollars(cells.row, amount, currency, span[0]), currency=currency,
        amount_in_currency=None if currency == "USD" else amount,
        description=description or meter or None, tags=_tags(cells),
    )  # fmt: skip


def _model(provider: str, meter: str, description: str) -> str | None:
    if provider == "bedrock":
        return model_of(split_usage_type(meter)[1], description)
    if provider == "azure" and meter:
        return model_of_meter(meter)
    return model_in(f"{meter} {description}")


def _cache_kind(details: dict[str, Any]) -> str | None:
    """Return the kind by the draft of FOCUS 1.5: ``TokenCacheAction`` of input rows."""
    action = details.get("TokenCacheAction", details.get("x_TokenCacheAction"))
    return {"Read": "cache_read_tokens", "Write": "cache_write_5m_tokens"}.get(str(action))


def _quantity(cells: Cells) -> int | None:
    unit = _UNIT.match(cells.text("consumedunit") or "")
    if unit is None or "hour" in unit["unit"].lower():
        return None
    return cells.whole("consumedquantity", unit=int(unit["count"] or 1))


def _tags(cells: Cells) -> dict[str, str]:
    own = {
        "invoice_id": cells.text("invoiceid"), "invoice_detail_id": cells.text("invoicedetailid"),
        "sku_id": cells.text("skuid"), "charge_class": cells.text("chargeclass"),
        "resource": cells.text("resourceid"), "pricing_category": cells.text("pricingcategory"),
    }  # fmt: skip
    return tags_of((*own.items(), *json_object(cells.first("tags")).items()))


FOCUS: Final = Format(
    "focus", Basis.COST,
    (frozenset({"billedcost", "chargeperiodstart", "chargecategory"}),), read_focus,
    has_quantities=True,
)  # fmt: skip
